//! Whether bitmaps and page descriptors of a file agree.

use super::pages::{DESCRIPTOR_SIZE, Part};
use crate::target::Truncation;

impl Part {
    /// What is wrong with them, one sentence each. Files that are cut off say so themselves.
    pub fn problems(&self) -> Vec<String> {
        let name = self.source.path().display();
        let mut problems = Vec::new();
        let beyond = self.saved.count_beyond(&self.in_memory).unwrap_or(0);
        if beyond > 0 {
            problems.push(format!(
                "the bitmaps of {name} contradict each other: pages are saved that are no memory ({beyond})"
            ));
        }
        // The files of a split dump have room for the descriptors of all pages.
        let is_whole = Truncation::of(&*self.source, self.first_stored).is_none();
        if is_whole
            && self.header.part.is_none()
            && let Some(data) = self.start_of_data()
        {
            let missing = data.saturating_sub(self.first_stored);
            if data < self.first_stored {
                problems.push(format!(
                    "the bitmap of {name} has more pages than there are descriptors, so pages may be those of other \
                     addresses"
                ));
            } else if missing > 0
                && missing.is_multiple_of(DESCRIPTOR_SIZE)
                && !data.is_multiple_of(self.header.block_size)
            {
                problems.push(format!(
                    "the bitmap of {name} lacks pages that there are descriptors of ({}), so pages may be those of \
                     other addresses",
                    missing / DESCRIPTOR_SIZE
                ));
            }
        }
        problems
    }

    /// Where the first page is stored, which makedumpfile and QEMU do right after the descriptors.
    fn start_of_data(&self) -> Option<u64> {
        const STEP: u64 = 4096 * DESCRIPTOR_SIZE;
        let mut least = None;
        let mut at = self.descriptors;
        while at < self.first_stored {
            let size = STEP.min(self.first_stored - at);
            let bytes = self.source.read_up_to(at, size).ok()?;
            let descriptors = bytes.chunks_exact(DESCRIPTOR_SIZE as usize);
            let places = descriptors.filter_map(|bytes| self.fields(bytes).u64(0));
            let stored = places.filter(|&offset| offset != 0);
            least = least.into_iter().chain(stored).min();
            if (bytes.len() as u64) < size {
                break;
            }
            at = at.saturating_add(size);
        }
        least
    }
}
