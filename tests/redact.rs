//! What is shown of what strangers wrote: nothing that may be a secret.

use expect_test::expect;
use kernelsight::redact::arguments;

fn shown(line: &str) -> String {
    arguments(&line.split(' ').map(|argument| argument.as_bytes().to_vec()).collect::<Vec<_>>())
}

#[test]
fn of_arguments_names_are_shown_and_values_are_not() {
    expect!["postgres -D <13 bytes> --port=5432 --shared-buffers=<5 bytes>"]
        .assert_eq(&shown("/usr/lib/postgresql/bin/postgres -D /var/lib/main --port=5432 --shared-buffers=128MB"));
    expect!["python3 -m <4 bytes> --workers 64 <17 bytes>"]
        .assert_eq(&shown("/usr/bin/python3 -m http --workers 64 alice@example.org"));
}

#[test]
fn no_secret_is_shown_however_it_is_given() {
    for line in [
        "mysql -pCANARY7f3a9",
        "mysql -p CANARY7f3a9",
        "curl --header Authorization:CANARY7f3a9",
        "run --password CANARY7f3a9 x",
        "run --api-key=CANARY7f3a9",
        "run --CANARY7f3a9",
        "run canary7f3a9canary7f3a9",
        "run https://u:canary7f3a9@host/",
        "/home/CANARY7f3a9/run",
        "env PGPASSWORD=CANARY7f3a9 psql",
        "run --canary7f3a9=1",
    ] {
        let shown = shown(line).to_lowercase();
        assert!(!shown.contains("7f3a9"), "{line}: {shown}");
    }
    assert_eq!(shown("run --pin 1234 --port 1234"), "run --pin <4 bytes> --port 1234");
    assert_eq!(shown("run --pin=1234"), "run --pin=<4 bytes>");
}

#[test]
fn a_long_line_is_counted_and_not_shown() {
    let many = format!("run{}", " x".repeat(100));
    assert!(shown(&many).ends_with("<1 bytes> (and 61 more)"), "{}", shown(&many));
    assert_eq!(arguments(&[]), "");
    assert_eq!(arguments(&[vec![0xff; 9]]), "<9 bytes>");
}
