//! The targets of `tests/fuzz`, for binaries that libFuzzer drives.

#[path = "../../tests/fuzz/mod.rs"]
mod fuzz;
#[expect(dead_code, reason = "the choices of the tests come from a seed, those of a fuzzer from its bytes")]
#[path = "../../tests/hostile_generator.rs"]
mod hostile_generator;
#[path = "../../tests/hostile_oracle.rs"]
mod hostile_oracle;

/// Runs the target of this name, which panics at what it looks for.
pub fn run(target: &str, bytes: &[u8]) {
    let _taken = fuzz::run(target, bytes);
}
