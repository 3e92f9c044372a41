//! The table of symbols that a Linux kernel has of itself, out of the memory of a target.
//!
//! Where its parts are is said by VMCOREINFO, or found by what they look like ([`scan`]). Names
//! are compressed with 256 tokens; addresses are written in one of four ways, told apart by an
//! address that is known. The symbols of kernel modules are elsewhere, see [`module`]; what a
//! running kernel [lists](listed) is text.

pub mod exports;
mod image;
mod list;
pub mod module;
mod scan;

pub use image::KernelImage;
pub use list::listed;

use std::sync::Arc;

use kdive_target::{AddressSpace, ByteOrder, Memory, VmCoreInfo};

use crate::symbols::{NamedSymbol, Symbol, SymbolBinding, SymbolKind, SymbolTable};
use crate::{Error, Result};

/// Kernels have some hundred thousand symbols.
const MAX_SYMBOLS: u32 = 1 << 22;
/// Names have at most 511 characters ("kallsyms: increase maximum kernel symbol length to 512",
/// Linux 6.1).
const MAX_NAME: usize = 512;
/// The names of a kernel have some megabytes.
const MAX_NAMES: usize = 1 << 28;
/// How many bytes of names are read at once.
const BLOCK: usize = 1 << 16;
/// A symbol that is followed by none nearby ends at the latest after this many bytes; the larger
/// tables of variables fit.
const MAX_SIZE: u64 = 1 << 17;

/// Where the parts of the table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    names: u64,
    count: u32,
    tokens: u64,
    token_index: u64,
    addresses: Option<u64>,
    offsets: Option<u64>,
    relative_base: Option<u64>,
}

/// How the table writes addresses.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// As they are.
    Absolute,
    /// Relative to a base: `CONFIG_KALLSYMS_BASE_RELATIVE`.
    BaseRelative,
    /// Not negative: as they are, per-CPU symbols; negative: one less than the distance below
    /// the base (`CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, until 6.15).
    AbsolutePerCpu,
    /// Relative to where the number itself is (7.0).
    PlaceRelative,
}

/// The symbols of the kernel whose memory this is; none if it has no such table, or none that
/// could be found.
pub fn read(
    memory: &Arc<Memory>,
    info: &VmCoreInfo,
    byte_order: ByteOrder,
) -> Result<Option<SymbolTable>> {
    let Some(stext) = info.symbol("_stext") else {
        return Ok(None);
    };
    let table = Table {
        memory,
        byte_order,
        has_long_names: has_long_names(info),
        stext,
    };
    if let Some(places) = table.places_in(info)? {
        return table.read(&places).map(Some);
    }
    let image = KernelImage::new(memory, byte_order, stext);
    for places in scan::find(&image, table.has_long_names) {
        // What only looks like the table gives another address for `_stext`.
        if let Ok(symbols) = table.read(&places) {
            return Ok(Some(symbols));
        }
    }
    Ok(None)
}

/// The symbols that VMCOREINFO has itself.
pub fn symbols_in_vmcoreinfo(info: &VmCoreInfo) -> SymbolTable {
    SymbolTable::new(info.symbols().map(|(name, address)| Symbol {
        name: name.into(),
        address,
        size: 1,
        binding: SymbolBinding::Global,
        kind: SymbolKind::Unknown,
    }))
}

/// Whether lengths may take two bytes: "kallsyms: support "big" kernel symbols", Linux 6.1.
/// Nothing else than the release tells.
fn has_long_names(info: &VmCoreInfo) -> bool {
    let release = info.os_release().unwrap_or("");
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
    (number(), number()) >= (Some(6), Some(1))
}

fn bad(message: String) -> Error {
    Error::Bad {
        origin: "kallsyms of the target".to_owned(),
        message,
    }
}

struct Table<'a> {
    memory: &'a Memory,
    byte_order: ByteOrder,
    has_long_names: bool,
    stext: u64,
}

/// The names of all symbols, each after the letter of its kind and before a zero byte.
struct Names {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Table<'_> {
    /// What VMCOREINFO says since "vmcoreinfo: add `kallsyms_num_syms` symbol", Linux 6.0.
    fn places_in(&self, info: &VmCoreInfo) -> Result<Option<Places>> {
        let (Some(names), Some(count), Some(tokens), Some(token_index)) = (
            info.symbol("kallsyms_names"),
            info.symbol("kallsyms_num_syms"),
            info.symbol("kallsyms_token_table"),
            info.symbol("kallsyms_token_index"),
        ) else {
            return Ok(None);
        };
        Ok(Some(Places {
            names,
            count: self
                .memory
                .read_u32(AddressSpace::Virtual, count, self.byte_order)?,
            tokens,
            token_index,
            addresses: info.symbol("kallsyms_addresses"),
            offsets: info.symbol("kallsyms_offsets"),
            relative_base: info.symbol("kallsyms_relative_base"),
        }))
    }

    fn read(&self, places: &Places) -> Result<SymbolTable> {
        if places.count > MAX_SYMBOLS {
            return Err(bad(format!(
                "kallsyms_num_syms is {}, which can't be right",
                places.count
            )));
        }
        // Their size is known beforehand; a count that is too large ends here.
        let encodings = self.raw_addresses(places)?;
        let names = self.names(places)?;
        let addresses = self.addresses(places, &names, &encodings)?;
        Ok(symbols(names, &addresses))
    }

    /// The 256 byte sequences that bytes of names stand for.
    fn tokens(&self, places: &Places) -> Result<Vec<Vec<u8>>> {
        (0..256)
            .map(|token| {
                let offset = self.memory.read_u16(
                    AddressSpace::Virtual,
                    places.token_index.wrapping_add(token * 2),
                    self.byte_order,
                )?;
                let start = places.tokens.wrapping_add(u64::from(offset));
                Ok(self
                    .memory
                    .read_c_string(AddressSpace::Virtual, start, MAX_NAME)?)
            })
            .collect()
    }

    fn names(&self, places: &Places) -> Result<Names> {
        let tokens = self.tokens(places)?;
        let mut stream = Stream {
            memory: self.memory,
            next: places.names,
            block: Vec::new(),
            position: 0,
        };
        let mut names = Names {
            bytes: Vec::new(),
            starts: Vec::new(),
        };
        for _ in 0..places.count {
            let mut length = usize::from(stream.byte()?);
            if self.has_long_names && length & 0x80 != 0 {
                length = length & 0x7f | usize::from(stream.byte()?) << 7;
            }
            let start = names.bytes.len();
            names.starts.push(start as u32);
            for _ in 0..length {
                let token = tokens.get(usize::from(stream.byte()?));
                names
                    .bytes
                    .extend_from_slice(token.map_or(&[], Vec::as_slice));
            }
            if names.bytes.len() - start > MAX_NAME || names.bytes.len() > MAX_NAMES {
                return Err(bad(format!(
                    "symbol {} has a name of {} bytes, which can't be right",
                    names.starts.len() - 1,
                    names.bytes.len() - start
                )));
            }
            names.bytes.push(0);
        }
        Ok(names)
    }

    /// The numbers that stand for addresses, in each way that they may be written in.
    fn raw_addresses(&self, places: &Places) -> Result<Vec<(Encoding, Vec<u8>, u64)>> {
        let count = places.count as usize;
        let read = |address, size: usize| {
            self.memory
                .read_bytes(AddressSpace::Virtual, address, size * count)
        };
        let mut found = Vec::new();
        if let Some(addresses) = places.addresses {
            found.push((Encoding::Absolute, read(addresses, 8)?, 0));
        }
        if let Some(offsets) = places.offsets {
            let bytes = read(offsets, 4)?;
            if let Some(base) = places.relative_base {
                let base = self
                    .memory
                    .read_u64(AddressSpace::Virtual, base, self.byte_order)?;
                found.push((Encoding::AbsolutePerCpu, bytes.clone(), base));
                found.push((Encoding::BaseRelative, bytes.clone(), base));
            }
            found.push((Encoding::PlaceRelative, bytes, offsets));
        }
        Ok(found)
    }

    fn addresses(
        &self,
        places: &Places,
        names: &Names,
        encodings: &[(Encoding, Vec<u8>, u64)],
    ) -> Result<Vec<u64>> {
        let reference = names
            .starts
            .iter()
            .position(|start| names.bytes[*start as usize..].get(1..8) == Some(b"_stext\0"));
        let Some(reference) = reference else {
            return Err(bad(
                "the table has no symbol _stext to check it with".to_owned()
            ));
        };
        for (encoding, bytes, base) in encodings {
            if self.address(*encoding, bytes, *base, reference) == Some(self.stext) {
                return (0..places.count as usize)
                    .map(|index| {
                        self.address(*encoding, bytes, *base, index)
                            .ok_or_else(|| bad("the addresses end too early".to_owned()))
                    })
                    .collect();
            }
        }
        Err(bad(format!(
            "no known encoding of the addresses gives {:#x} for _stext",
            self.stext
        )))
    }

    fn address(&self, encoding: Encoding, bytes: &[u8], base: u64, index: usize) -> Option<u64> {
        if let Encoding::Absolute = encoding {
            return Some(self.byte_order.u64(*bytes.as_chunks().0.get(index)?));
        }
        let offset = self.byte_order.u32(*bytes.as_chunks().0.get(index)?);
        let signed = i64::from(offset as i32) as u64;
        Some(match encoding {
            Encoding::PlaceRelative => base.wrapping_add(index as u64 * 4).wrapping_add(signed),
            Encoding::AbsolutePerCpu if (offset as i32) >= 0 => signed,
            Encoding::AbsolutePerCpu => base.wrapping_sub(1).wrapping_sub(signed),
            _ => base.wrapping_add(u64::from(offset)),
        })
    }
}

/// Bytes of the target's memory, one after the other.
struct Stream<'a> {
    memory: &'a Memory,
    next: u64,
    block: Vec<u8>,
    position: usize,
}

impl Stream<'_> {
    fn byte(&mut self) -> Result<u8> {
        if let Some(byte) = self.block.get(self.position) {
            self.position += 1;
            return Ok(*byte);
        }
        // The table may end shortly before memory that is not there.
        let read = |size| {
            self.memory
                .read_bytes(AddressSpace::Virtual, self.next, size)
        };
        self.block = read(BLOCK).or_else(|_| read(256)).or_else(|_| read(1))?;
        self.next = self.next.wrapping_add(self.block.len() as u64);
        self.position = 1;
        Ok(self.block.first().copied().unwrap_or(0))
    }
}

fn symbols(names: Names, addresses: &[u64]) -> SymbolTable {
    let mut numbered: Vec<(u64, u32)> = addresses.iter().copied().zip(0..).collect();
    numbered.sort_unstable();
    let mut entries = Vec::with_capacity(numbered.len());
    // From the last one on, so that the next address is known. Nothing tells how long the last
    // one is.
    let (mut next, mut latest) = (None, None);
    for (address, number) in numbered.into_iter().rev() {
        if latest != Some(address) {
            (next, latest) = (latest, Some(address));
        }
        let Some(&start) = names.starts.get(number as usize) else {
            continue;
        };
        let letter = names.bytes.get(start as usize).copied().unwrap_or_default();
        let (binding, kind) = meaning(letter);
        entries.push(NamedSymbol {
            name: start + 1,
            address,
            size: next.map_or(1, |next: u64| next - address).min(MAX_SIZE),
            binding,
            kind,
        });
    }
    entries.reverse();
    SymbolTable::with_names(names.bytes, entries)
}

/// What the letter before a name means, as nm(1) has it.
pub(crate) fn meaning(letter: u8) -> (SymbolBinding, SymbolKind) {
    let binding = match letter {
        b'W' | b'w' | b'V' | b'v' => SymbolBinding::Weak,
        b'u' => SymbolBinding::Unique,
        b'A'..=b'Z' => SymbolBinding::Global,
        _ => SymbolBinding::Local,
    };
    let kind = match letter {
        b'T' | b't' | b'W' | b'w' => SymbolKind::Function,
        b'D' | b'd' | b'B' | b'b' | b'R' | b'r' | b'G' | b'g' | b'S' | b's' | b'V' | b'v' => {
            SymbolKind::Object
        }
        b'i' => SymbolKind::IndirectFunction,
        _ => SymbolKind::Unknown,
    };
    (binding, kind)
}
