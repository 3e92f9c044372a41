//! The symbols that a kernel exports to its modules: `__ksymtab`.
//!
//! Kernels without `CONFIG_KALLSYMS_ALL` have functions only in their table of symbols, but this
//! table has their exported variables too. Each entry has the distances from itself to what it
//! names and to its name ("module: use relative references for __ksymtab entries", Linux 4.19),
//! and since "module: add support for symbol namespaces", Linux 5.4, to a namespace.

use super::image::KernelImage;
use crate::bytes::c_string_at;
use crate::symbols::{NamedSymbol, SymbolBinding, SymbolKind, SymbolTable};

/// A variable that every kernel exports.
pub const LANDMARK: &str = "init_task";
/// Kernels export some ten thousand symbols.
const MAX_EXPORTS: usize = 1 << 17;
/// Nothing says how large what is exported is.
const UNKNOWN_SIZE: u64 = 1;

/// The exported symbols; none if they can't be found.
pub fn find(image: &KernelImage) -> Option<SymbolTable> {
    let names: Vec<u64> = image
        .find(format!("\0{LANDMARK}\0").as_bytes())
        .into_iter()
        .map(|address| address.wrapping_add(1))
        .collect();
    let order = image.byte_order();
    let landmark = image.blocks().find_map(|(start, bytes)| {
        let words = bytes.as_chunks::<4>().0.iter();
        let place = words.enumerate().find_map(|(index, word)| {
            let place = start.wrapping_add(4 * index as u64);
            names
                .contains(&target(place, order.u32(*word)))
                .then_some(place)
        })?;
        [12, 8]
            .into_iter()
            .map(|stride| Exports::around(image, place.wrapping_sub(4), stride))
            .find(|exports| exports.entries.len() > 1)
    })?;
    Some(SymbolTable::with_names(landmark.names, landmark.entries))
}

fn target(place: u64, distance: u32) -> u64 {
    place.wrapping_add(i64::from(distance as i32) as u64)
}

#[derive(Default)]
struct Exports {
    names: Vec<u8>,
    entries: Vec<NamedSymbol>,
}

impl Exports {
    /// The entries before and after the one at an address, as far as they have names.
    fn around(image: &KernelImage, entry: u64, stride: u64) -> Exports {
        let mut exports = Exports::default();
        let mut strings = Strings::default();
        let up = (0..MAX_EXPORTS as u64).map(|index| entry.wrapping_add(index * stride));
        let down = (1..MAX_EXPORTS as u64).map(|index| entry.wrapping_sub(index * stride));
        for address in up {
            if exports.add(image, &mut strings, address).is_none() {
                break;
            }
        }
        for address in down {
            if exports.add(image, &mut strings, address).is_none() {
                break;
            }
        }
        exports
    }

    fn add(&mut self, image: &KernelImage, strings: &mut Strings, entry: u64) -> Option<()> {
        let order = image.byte_order();
        let bytes = image.read(entry, 8)?;
        let word = |offset: usize| Some(order.u32(*bytes.get(offset..)?.first_chunk()?));
        let address = target(entry, word(0)?);
        let name = strings.at(image, target(entry.wrapping_add(4), word(4)?))?;
        let start = self.names.len() as u32;
        self.names.extend_from_slice(&name);
        self.names.push(0);
        self.entries.push(NamedSymbol {
            name: start,
            address,
            size: UNKNOWN_SIZE,
            binding: SymbolBinding::Global,
            kind: SymbolKind::Unknown,
        });
        Some(())
    }
}

/// The names, which lie close together.
#[derive(Default)]
struct Strings {
    start: u64,
    bytes: Vec<u8>,
}

impl Strings {
    /// The identifier at an address; none if there is something else.
    fn at(&mut self, image: &KernelImage, address: u64) -> Option<Vec<u8>> {
        const BLOCK: u64 = 1 << 16;
        let is_inside = |start: u64, size: usize| address.wrapping_sub(start) < size as u64;
        if !is_inside(self.start, self.bytes.len()) {
            self.start = address / BLOCK * BLOCK;
            self.bytes = image.read(self.start, BLOCK as usize)?;
        }
        let name = if let Some(name) = c_string_at(&self.bytes, (address - self.start) as usize) {
            name.to_vec()
        } else {
            let bytes = image.read(address, super::MAX_NAME)?;
            c_string_at(&bytes, 0)?.to_vec()
        };
        let is_identifier = name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.$".contains(byte));
        (!name.is_empty() && is_identifier).then_some(name)
    }
}
