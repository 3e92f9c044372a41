//! kdump-compressed files: the format of makedumpfile, diskdump and QEMU.
//!
//! Here live the format's header ([`header`]), its bitmaps ([`bitmap`]), the codecs of its pages
//! ([`codec`], [`lzo`]), the reader of physical memory that is made of them ([`pages`]) and whether
//! they agree ([`check`]).

mod bitmap;
mod check;
mod codec;
pub(crate) mod header;
mod lzo;
pub(crate) mod pages;
