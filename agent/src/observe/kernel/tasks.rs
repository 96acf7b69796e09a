//! Reads the task iterator.

use agent_ebpf::constants::Settings;
use aya::Ebpf;

use super::{
    KernelError, pass,
    programs::TASKS,
    rows::{Rows, TaskRow},
};

pub(super) struct Tasks {
    bytes: Vec<u8>,
    rows: Rows,
}

impl Tasks {
    pub(super) fn new(constants: &Settings) -> Self {
        Self { bytes: Vec::new(), rows: Rows::new(constants) }
    }

    pub(super) fn read(&mut self, ebpf: &mut Ebpf) -> Result<Vec<TaskRow>, KernelError> {
        let file = pass::open(ebpf, TASKS).map_err(|source| KernelError::TasksOpen { source })?;
        pass::read(file, &mut self.bytes).map_err(|source| KernelError::TasksRead { source })?;
        self.rows.take(&self.bytes)
    }
}
