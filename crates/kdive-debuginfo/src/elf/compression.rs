//! Compressed sections: `SHF_COMPRESSED` with zlib or zstd, and the older `.zdebug_*`.

use std::io::Read;

use kdive_target::ByteOrder;

use crate::bytes::{u32_from, u64_from};

/// How the bytes of a section are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// `ZLIB`, the size as a big-endian 64-bit number, and a zlib stream.
    Gnu,
    /// An `Elf32_Chdr` and a zlib or zstd stream.
    Header32(ByteOrder),
    /// An `Elf64_Chdr` and a zlib or zstd stream.
    Header64(ByteOrder),
}

/// No section decompresses to more than this many times its size: zlib can't, and zstd does so
/// only for data that is nearly all the same byte.
const GREATEST_RATIO: u64 = 1100;

/// Sections decompress to at most this many times their size, but for those of nearly one byte.
const USUAL_RATIO: u64 = 16;

/// No file decompresses to more than this many times its size: modules and kernels do so to some
/// five times theirs.
const GREATEST_FILE_RATIO: u64 = 100;

impl Compression {
    pub(super) fn from_header(is_64_bit: bool, order: ByteOrder) -> Compression {
        if is_64_bit {
            Compression::Header64(order)
        } else {
            Compression::Header32(order)
        }
    }

    /// Decompresses the whole section `raw`.
    pub(super) fn decompress(self, raw: &[u8]) -> Result<Vec<u8>, String> {
        const ZLIB: u32 = object::elf::ELFCOMPRESS_ZLIB.0;
        const ZSTD: u32 = object::elf::ELFCOMPRESS_ZSTD.0;
        let truncated = || "truncated header of a compressed section".to_owned();
        let (kind, size, stream) = match self {
            Compression::None => return Ok(raw.to_vec()),
            Compression::Gnu => {
                let (magic, rest) = raw.split_first_chunk::<4>().ok_or_else(truncated)?;
                let (size, stream) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
                if magic != b"ZLIB" {
                    return Err("a .zdebug section that does not begin with ZLIB".to_owned());
                }
                (ZLIB, u64::from_be_bytes(*size), stream)
            }
            Compression::Header32(order) => {
                let (header, stream) = raw.split_first_chunk::<12>().ok_or_else(truncated)?;
                let [k0, k1, k2, k3, s0, s1, s2, s3, ..] = *header;
                let kind = u32_from(order, [k0, k1, k2, k3]);
                (kind, u64::from(u32_from(order, [s0, s1, s2, s3])), stream)
            }
            Compression::Header64(order) => {
                let (kind, rest) = raw.split_first_chunk::<4>().ok_or_else(truncated)?;
                let (_reserved, rest) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
                let (size, rest) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
                let (_alignment, stream) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
                (u32_from(order, *kind), u64_from(order, *size), stream)
            }
        };
        match kind {
            ZLIB => inflate(stream, size),
            ZSTD => {
                check_ratio(raw.len(), size)?;
                let decoder =
                    zstd::Decoder::with_buffer(stream).map_err(|error| format!("zstd: {error}"))?;
                read_exactly(decoder, size, raw.len())
            }
            other => Err(format!("unknown compression {other}")),
        }
    }
}

/// Decompresses a zlib stream that holds `size` bytes.
pub(crate) fn inflate(stream: &[u8], size: u64) -> Result<Vec<u8>, String> {
    check_ratio(stream.len(), size)?;
    if size > (stream.len() as u64).saturating_mul(USUAL_RATIO) {
        // Whoever says so may not tell the truth: memory is taken as it is needed.
        let decoder = flate2::read::ZlibDecoder::new(stream);
        return read_exactly(decoder, size, stream.len());
    }
    let size = usize::try_from(size).map_err(|_| format!("too large: {size} bytes"))?;
    let mut bytes = vec![0; size];
    let inflated = libdeflater::Decompressor::new().zlib_decompress(stream, &mut bytes);
    match inflated {
        Ok(length) if length == size => Ok(bytes),
        Ok(length) => Err(wrong_length(length, size)),
        Err(error) => Err(format!("damaged compressed data: {error}")),
    }
}

fn wrong_length(length: usize, expected: usize) -> String {
    format!("decompresses to {length} bytes instead of {expected}")
}

/// Refuses a size that so many bytes can't decompress to.
fn check_ratio(compressed: usize, size: u64) -> Result<(), String> {
    let limit = (compressed as u64)
        .saturating_mul(GREATEST_RATIO)
        .saturating_add(1 << 16);
    if size > limit {
        return Err(format!(
            "says that {compressed} bytes decompress to {size}, which can't be"
        ));
    }
    Ok(())
}

/// Decompresses a whole file that is compressed with gzip, xz or zstd, as kernel modules are.
/// `None` if it isn't.
pub(super) fn decompress_file(raw: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let limit = (raw.len() as u64).saturating_mul(GREATEST_FILE_RATIO);
    let mut bytes = Limited {
        bytes: Vec::new(),
        limit,
    };
    let result = if raw.starts_with(&[0x1f, 0x8b]) {
        std::io::copy(&mut flate2::read::MultiGzDecoder::new(raw), &mut bytes)
            .map(drop)
            .map_err(|error| format!("gzip: {error}"))
    } else if raw.starts_with(b"\xfd7zXZ\0") {
        let mut stream = raw;
        lzma_rs::xz_decompress(&mut stream, &mut bytes).map_err(|error| format!("xz: {error:?}"))
    } else if raw.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::copy_decode(raw, &mut bytes).map_err(|error| format!("zstd: {error}"))
    } else {
        return None;
    };
    Some(result.map(|()| bytes.bytes))
}

/// Bytes that are refused beyond a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: u64,
}

impl std::io::Write for Limited {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if (self.bytes.len() as u64).saturating_add(more.len() as u64) > self.limit {
            return Err(std::io::Error::other("decompresses to more than can be"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn read_exactly(reader: impl Read, size: u64, compressed: usize) -> Result<Vec<u8>, String> {
    let expected = usize::try_from(size).map_err(|_| format!("too large: {size} bytes"))?;
    // A header that lies costs no more memory than the stream really holds.
    let mut bytes = Vec::with_capacity(expected.min(compressed.saturating_mul(16)));
    reader
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("damaged compressed data: {error}"))?;
    if bytes.len() != expected {
        return Err(wrong_length(bytes.len(), expected));
    }
    Ok(bytes)
}
