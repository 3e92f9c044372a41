//! kdump-compressed files: the format of makedumpfile, diskdump and QEMU.
//!
//! Here live the format's header ([`header`]), its bitmaps ([`bitmap`]), the codecs of its pages
//! ([`codec`], [`lzo`]) and the reader of physical memory that is made of them ([`pages`]).

mod bitmap;
mod codec;
pub(crate) mod header;
mod lzo;
pub(crate) mod pages;
