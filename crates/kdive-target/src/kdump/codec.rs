//! The codecs of pages.
//!
//! Pages are what a dump has most of, so zlib and zstd are the fastest decoders there are, which
//! are C: decoders of zstd in Rust take four times as long, those of zlib 1.8 times.

use std::cell::RefCell;

use libdeflater::Decompressor;
use zstd::zstd_safe::DCtx;

use super::lzo;

/// A page that does not decode to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// How a page is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Raw,
    Zlib,
    Lzo,
    Snappy,
    Zstd,
}

impl Codec {
    /// The codec that the flags of a page name, if it is one of ours.
    pub fn of_flags(flags: u32) -> Option<Self> {
        match flags & 0x27 {
            0 => Some(Self::Raw),
            0x1 => Some(Self::Zlib),
            0x2 => Some(Self::Lzo),
            0x4 => Some(Self::Snappy),
            0x20 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decodes `stored` into exactly the bytes of `page`.
    pub fn decode(self, stored: &[u8], page: &mut [u8]) -> Result<(), Damaged> {
        let size = match self {
            Self::Raw => {
                let bytes = stored.get(..page.len()).ok_or(Damaged)?;
                page.copy_from_slice(bytes);
                page.len()
            }
            Self::Zlib => ZLIB
                .with_borrow_mut(|zlib| zlib.zlib_decompress(stored, page))
                .map_err(|_| Damaged)?,
            Self::Lzo => lzo::decompress(stored, page)?,
            Self::Snappy => snap::raw::Decoder::new()
                .decompress(stored, page)
                .map_err(|_| Damaged)?,
            Self::Zstd => ZSTD
                .with_borrow_mut(|zstd| zstd.decompress(page, stored))
                .map_err(|_| Damaged)?,
        };
        if size == page.len() {
            Ok(())
        } else {
            Err(Damaged)
        }
    }
}

thread_local! {
    static ZLIB: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    static ZSTD: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}
