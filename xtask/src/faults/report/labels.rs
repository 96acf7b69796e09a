//! Words beside marks, in as few rows as they have room in without one over the other.

/// Width of a letter of 12 px, on the wide side of what system fonts have.
const LETTER: f64 = 7.2;
/// Between a mark and its words, and between words.
const GAP: f64 = 9.0;

/// Where the words of a mark stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Label {
    pub(super) row: usize,
    /// Left of the mark, where there is no room to its right.
    pub(super) left: bool,
}

/// Places the words of each mark (where it is, how many letters), marks in order of their place, up to `right`.
pub(super) fn place(marks: &[(f64, usize)], right: f64) -> Vec<Label> {
    let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut labels = Vec::new();
    for (at, letters) in marks {
        let width = GAP + *letters as f64 * LETTER;
        let left = at + width > right;
        let taken = if left { (at - width, at + GAP) } else { (at - GAP, at + width) };
        let free = |row: &Vec<(f64, f64)>| row.iter().all(|(begin, end)| taken.1 < *begin || *end < taken.0);
        let row = rows.iter().position(free).unwrap_or(rows.len());
        if row == rows.len() {
            rows.push(Vec::new());
        }
        rows[row].push(taken);
        labels.push(Label { row, left });
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(marks: &[(f64, usize)]) -> Vec<(usize, bool)> {
        place(marks, 900.0).into_iter().map(|label| (label.row, label.left)).collect()
    }

    #[test]
    fn words_with_room_share_a_row_and_those_without_do_not() {
        assert_eq!(rows(&[(200.0, 10), (400.0, 10)]), [(0, false), (0, false)]);
        assert_eq!(rows(&[(200.0, 10), (220.0, 10), (230.0, 10)]), [(0, false), (1, false), (2, false)]);
    }

    #[test]
    fn words_at_the_right_edge_stand_left_of_their_mark() {
        assert_eq!(rows(&[(860.0, 20)]), [(0, true)]);
    }
}
