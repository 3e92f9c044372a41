//! Memory of single words, and tables for ranges of code.

use std::collections::BTreeMap;
use std::ops::Range;

use kdive_unwind::table::UnwindTable;
use kdive_unwind::{FindTable, ReadMemory};

/// Words at their addresses; everything else faults.
#[derive(Default)]
pub struct Words(BTreeMap<u64, u64>);

impl Words {
    /// Sets consecutive words.
    pub fn set(&mut self, address: u64, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            self.0.insert(address + 8 * index as u64, *word);
        }
    }
}

impl ReadMemory for Words {
    fn read(&self, address: u64, buffer: &mut [u8]) -> kdive_target::Result<()> {
        for (index, byte) in buffer.iter_mut().enumerate() {
            let here = address + index as u64;
            let word = self
                .0
                .get(&(here & !7))
                .ok_or_else(|| kdive_target::Error::Fault {
                    address: here,
                    reason: "address is not mapped".to_owned(),
                })?;
            *byte = word.to_le_bytes()[(here & 7) as usize];
        }
        Ok(())
    }
}

/// Code of the kernel, with a table or without.
pub struct Code {
    /// Where it is.
    pub range: Range<u64>,
    /// Its table.
    pub table: Option<UnwindTable>,
}

impl FindTable for Code {
    fn find_table(&self, address: u64) -> Option<(&UnwindTable, u64)> {
        let table = self.table.as_ref()?;
        self.range.contains(&address).then_some((table, 0))
    }

    fn is_code(&self, address: u64) -> bool {
        self.range.contains(&address)
    }
}
