//! The table of symbols that a Linux kernel has of itself, out of the memory of a target.
//!
//! VMCOREINFO says where the parts of the table are ("vmcoreinfo: add `kallsyms_num_syms` symbol"
//! and its neighbours, Linux 6.0). Names are compressed with 256 tokens; addresses are written
//! in one of four ways, told apart by an address that is known.

use kdive_target::{AddressSpace, ByteOrder, Memory, VmCoreInfo};

use crate::symbols::{Symbol, SymbolBinding, SymbolKind};
use crate::{Error, Result};

/// Kernels have some hundred thousand symbols.
const MAX_SYMBOLS: u32 = 1 << 24;
/// How many bytes of names are read at once.
const BLOCK: usize = 1 << 16;
/// A symbol that is followed by none nearby ends at the latest after this many bytes.
const MAX_SIZE: u64 = 1 << 16;

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

/// The symbols of the kernel whose memory this is; none if VMCOREINFO doesn't tell where the
/// table is.
pub fn read(
    memory: &Memory,
    info: &VmCoreInfo,
    byte_order: ByteOrder,
) -> Result<Option<Vec<Symbol>>> {
    let table = Table {
        memory,
        info,
        byte_order,
    };
    let (Some(names), Some(count), Some(tokens), Some(token_index)) = (
        info.symbol("kallsyms_names"),
        info.symbol("kallsyms_num_syms"),
        info.symbol("kallsyms_token_table"),
        info.symbol("kallsyms_token_index"),
    ) else {
        return Ok(None);
    };
    let count = memory.read_u32(AddressSpace::Virtual, count, byte_order)?;
    if count > MAX_SYMBOLS {
        return Err(bad(format!(
            "kallsyms_num_syms is {count}, which can't be right"
        )));
    }
    let tokens = table.tokens(tokens, token_index)?;
    let names = table.names(names, count, &tokens)?;
    let addresses = table.addresses(count, &names)?;
    Ok(Some(symbols(names, &addresses)))
}

fn bad(message: String) -> Error {
    Error::Bad {
        origin: "kallsyms of the target".to_owned(),
        message,
    }
}

struct Table<'a> {
    memory: &'a Memory,
    info: &'a VmCoreInfo,
    byte_order: ByteOrder,
}

impl Table<'_> {
    /// The 256 byte sequences that bytes of names stand for.
    fn tokens(&self, tokens: u64, token_index: u64) -> Result<Vec<Vec<u8>>> {
        (0..256)
            .map(|token| {
                let offset = self.memory.read_u16(
                    AddressSpace::Virtual,
                    token_index.wrapping_add(token * 2),
                    self.byte_order,
                )?;
                let start = tokens.wrapping_add(u64::from(offset));
                Ok(self
                    .memory
                    .read_c_string(AddressSpace::Virtual, start, 256)?)
            })
            .collect()
    }

    /// The names, each after the letter of its kind.
    fn names(&self, address: u64, count: u32, tokens: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let mut stream = Stream {
            memory: self.memory,
            next: address,
            block: Vec::new(),
            position: 0,
        };
        let has_long_names = self.has_long_names();
        let mut names = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let mut length = usize::from(stream.byte()?);
            if has_long_names && length & 0x80 != 0 {
                length = length & 0x7f | usize::from(stream.byte()?) << 7;
            }
            let mut name = Vec::with_capacity(length * 3);
            for _ in 0..length {
                name.extend_from_slice(&tokens[usize::from(stream.byte()?)]);
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Whether lengths may take two bytes: "kallsyms: support "big" kernel symbols", Linux 6.1.
    /// Nothing else than the release tells.
    fn has_long_names(&self) -> bool {
        let release = self.info.os_release().unwrap_or("");
        let mut numbers = release.split(|character: char| !character.is_ascii_digit());
        let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
        (number(), number()) >= (Some(6), Some(1))
    }

    fn addresses(&self, count: u32, names: &[Vec<u8>]) -> Result<Vec<u64>> {
        let stext = self.info.symbol("_stext");
        let reference = names
            .iter()
            .position(|name| name.get(1..) == Some(b"_stext"));
        let (Some(reference), Some(stext)) = (reference, stext) else {
            return Err(bad(
                "the table has no symbol _stext to check it with".to_owned()
            ));
        };
        let mut encodings = Vec::new();
        if self.info.symbol("kallsyms_addresses").is_some() {
            encodings.push(Encoding::Absolute);
        }
        if self.info.symbol("kallsyms_offsets").is_some() {
            encodings.push(Encoding::PlaceRelative);
            if self.info.symbol("kallsyms_relative_base").is_some() {
                encodings.push(Encoding::AbsolutePerCpu);
                encodings.push(Encoding::BaseRelative);
            }
        }
        for encoding in encodings {
            let addresses = self.decode(encoding, count)?;
            if addresses.get(reference) == Some(&stext) {
                return Ok(addresses);
            }
        }
        Err(bad(format!(
            "no known encoding of the addresses gives {stext:#x} for _stext"
        )))
    }

    fn decode(&self, encoding: Encoding, count: u32) -> Result<Vec<u64>> {
        let symbol = |name| self.info.symbol(name).unwrap_or(0);
        let read = |address, size: usize| {
            self.memory
                .read_bytes(AddressSpace::Virtual, address, size * count as usize)
        };
        if let Encoding::Absolute = encoding {
            let bytes = read(symbol("kallsyms_addresses"), 8)?;
            let numbers = bytes.as_chunks::<8>().0.iter();
            return Ok(numbers
                .map(|bytes| match self.byte_order {
                    ByteOrder::Little => u64::from_le_bytes(*bytes),
                    ByteOrder::Big => u64::from_be_bytes(*bytes),
                })
                .collect());
        }
        let start = symbol("kallsyms_offsets");
        let base = match encoding {
            Encoding::PlaceRelative => 0,
            _ => self.memory.read_u64(
                AddressSpace::Virtual,
                symbol("kallsyms_relative_base"),
                self.byte_order,
            )?,
        };
        let bytes = read(start, 4)?;
        let numbers = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| match self.byte_order {
                ByteOrder::Little => i32::from_le_bytes(*bytes),
                ByteOrder::Big => i32::from_be_bytes(*bytes),
            });
        Ok(numbers
            .enumerate()
            .map(|(index, offset)| {
                let signed = i64::from(offset) as u64;
                match encoding {
                    Encoding::PlaceRelative => {
                        start.wrapping_add(index as u64 * 4).wrapping_add(signed)
                    }
                    Encoding::AbsolutePerCpu if offset >= 0 => signed,
                    Encoding::AbsolutePerCpu => base.wrapping_sub(1).wrapping_sub(signed),
                    _ => base.wrapping_add(u64::from(offset as u32)),
                }
            })
            .collect())
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

fn symbols(names: Vec<Vec<u8>>, addresses: &[u64]) -> Vec<Symbol> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    names
        .into_iter()
        .zip(addresses)
        .filter_map(|(name, address)| {
            let (letter, name) = name.split_first()?;
            let next = sorted.partition_point(|other| other <= address);
            let size = sorted.get(next).map_or(0, |next| next - address);
            let (binding, kind) = meaning(*letter);
            Some(Symbol {
                name: String::from_utf8_lossy(name).into(),
                address: *address,
                size: size.min(MAX_SIZE),
                binding,
                kind,
            })
        })
        .collect()
}

/// What the letter before a name means, as nm(1) has it.
fn meaning(letter: u8) -> (SymbolBinding, SymbolKind) {
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
