//! A text of the kernel that knows its path, cut into lines and fields that know their number: whatever is wrong in
//! it, the error says where.

use std::str::FromStr;

use super::ScrapeError;
use crate::text::Text;

/// The text of one file.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    path: &'a str,
    text: &'a [u8],
}

/// One line of it, without its newline; `number` counts from 1.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    path: &'a str,
    pub number: usize,
    pub text: &'a [u8],
}

/// One piece of a line between white space.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    line: Line<'a>,
    pub text: &'a [u8],
}

impl<'a> Document<'a> {
    #[must_use]
    pub fn new(path: &'a str, text: &'a [u8]) -> Self {
        Self { path, text }
    }

    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The lines that are not empty.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let path = self.path;
        self.text
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, text)| !text.is_empty())
            .map(move |(index, text)| Line { path, number: index + 1, text })
    }

    /// The first line, taken as the whole text of a file of one value.
    pub fn line(&self) -> Result<Line<'a>, ScrapeError> {
        self.lines().next().ok_or_else(|| self.missing("line"))
    }

    /// The only number of a file of one value.
    pub fn number(&self) -> Result<u64, ScrapeError> {
        self.line()?.fields().number()
    }

    /// The only number of a file of one value, where `max` stands for none.
    pub fn number_or_max(&self) -> Result<Option<u64>, ScrapeError> {
        let line = self.line()?;
        if line.text.trim_ascii() == b"max" { Ok(None) } else { line.fields().number().map(Some) }
    }

    /// The values of a file of `key value` lines, in the order of `keys`; none where a key is not there.
    pub fn keyed<const N: usize>(&self, keys: [&str; N]) -> Result<[Option<u64>; N], ScrapeError> {
        let mut values = [None; N];
        let mut left = N;
        for line in self.lines() {
            let key = line.first();
            let Some(at) = keys.iter().position(|wanted| wanted.as_bytes() == key) else { continue };
            let mut fields = line.fields();
            fields.next();
            if values[at].replace(fields.number()?).is_none() {
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Ok(values)
    }

    /// The same where every key must be there.
    pub fn keyed_all<const N: usize>(&self, keys: [&'static str; N]) -> Result<[u64; N], ScrapeError> {
        let values = self.keyed(keys)?;
        let mut all = [0; N];
        for ((slot, value), key) in all.iter_mut().zip(values).zip(keys) {
            *slot = value.ok_or_else(|| self.missing(key))?;
        }
        Ok(all)
    }

    /// Columns of a table whose line of names is followed by its line of values, both begun by `name`, as in
    /// `/proc/net/snmp`.
    pub fn table<const N: usize>(
        &self,
        name: &'static str,
        columns: [&'static str; N],
    ) -> Result<[u64; N], ScrapeError> {
        let mut lines = self.lines().filter(|line| line.first() == name.as_bytes());
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Err(self.missing(name)) };
        let mut found = [None; N];
        for (column, value) in names.fields().zip(values.fields()).skip(1) {
            if let Some(at) = columns.iter().position(|wanted| wanted.as_bytes() == column.text) {
                found[at] = Some(value.parse("a number")?);
            }
        }
        let mut all = [0; N];
        for ((slot, value), column) in all.iter_mut().zip(found).zip(columns) {
            *slot = value.ok_or_else(|| self.missing(column))?;
        }
        Ok(all)
    }

    pub(super) fn missing(&self, wanted: &'static str) -> ScrapeError {
        ScrapeError::Missing { path: self.path.to_owned(), wanted }
    }
}

impl<'a> Line<'a> {
    /// The pieces between white space.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        self.fields_of(self.text)
    }

    /// The pieces of a part of this line.
    #[must_use]
    pub fn fields_of(&self, part: &'a [u8]) -> Fields<'a> {
        Fields { line: *self, rest: part }
    }

    fn first(&self) -> &'a [u8] {
        let text = self.text.trim_ascii_start();
        text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default()
    }

    /// The error that this line is not what was wanted.
    pub(super) fn is_not(&self, wanted: &'static str) -> ScrapeError {
        self.found(self.text, wanted)
    }

    fn found(&self, text: &[u8], wanted: &'static str) -> ScrapeError {
        let found = Text::from_bytes(text);
        ScrapeError::Line { path: self.path.to_owned(), line: self.number, found, wanted }
    }
}

/// The fields of a line, from the left.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    line: Line<'a>,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next field as a number.
    pub fn number<T: FromStr>(&mut self) -> Result<T, ScrapeError> {
        self.field("a number")?.parse("a number")
    }

    /// The next field, which must be there.
    pub fn field(&mut self, wanted: &'static str) -> Result<Field<'a>, ScrapeError> {
        let line = self.line;
        self.next().ok_or_else(|| line.is_not(wanted))
    }

    /// Goes over `count` fields.
    #[must_use]
    pub fn over(mut self, count: usize) -> Self {
        for _ in 0..count {
            self.next();
        }
        self
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.rest.trim_ascii_start();
        if rest.is_empty() {
            self.rest = rest;
            return None;
        }
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (text, rest) = rest.split_at(end);
        self.rest = rest;
        Some(Field { line: self.line, text })
    }
}

impl Field<'_> {
    /// The field as `T`, or the error that it is not `wanted`.
    pub fn parse<T: FromStr>(&self, wanted: &'static str) -> Result<T, ScrapeError> {
        std::str::from_utf8(self.text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.line.found(self.text, wanted))
    }
}
