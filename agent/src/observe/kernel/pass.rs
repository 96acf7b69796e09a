//! One pass of an iterator: all that it writes.

use std::{fs::File, io, io::Read as _};

use aya::{
    Ebpf,
    programs::{Iter, ProgramError},
};

/// Bytes asked for at once: the kernel's own buffer for iterators.
const READ_BYTES: usize = 32 << 10;

/// Opens a new pass of an iterator; the program is attached each time that it is read.
pub(super) fn open(ebpf: &mut Ebpf, name: &str) -> Result<File, Box<dyn std::error::Error + Send + Sync>> {
    let program = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?;
    let program: &mut Iter = program.try_into()?;
    let link = program.attach()?;
    Ok(program.take_link(link)?.into_file()?)
}

/// All of a pass.
pub(super) fn read(mut file: File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut length = 0;
    loop {
        if bytes.len() < length + READ_BYTES {
            bytes.resize(length + READ_BYTES, 0);
        }
        match file.read(&mut bytes[length..])? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok(())
}
