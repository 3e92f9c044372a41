//! Archives of dictionaries, and single dictionaries as archives of one.

use std::ops::Range;
use std::sync::Arc;

use super::header;
use crate::bytes::c_string_at;
use crate::{Error, Result};

const MAGIC: u64 = 0x8b47_f2a4_d762_3eeb;
const HEADER_SIZE: usize = 40;
const ENTRY_SIZE: usize = 16;
/// What the only dictionary of a file is called: as linkers call the one that others go on from.
const ONLY: &str = ".ctf";

/// Dictionaries by name, such as `vmlinux` and one for each module of a kernel.
///
/// The directory of an archive is little-endian, whatever the dictionaries are.
pub struct Archive {
    origin: String,
    bytes: Arc<[u8]>,
    members: Vec<Member>,
}

struct Member {
    name: String,
    place: Range<usize>,
}

impl Archive {
    /// Reads the directory of an archive, or takes a dictionary for the only one of an archive.
    /// `origin` says where the bytes come from, for messages.
    pub fn parse(origin: &str, bytes: Arc<[u8]>) -> Result<Archive> {
        let members = if number(&bytes, 0) == Some(MAGIC) {
            directory(&bytes).map_err(|message| Error::Bad {
                origin: origin.to_owned(),
                message,
            })?
        } else if header::is_dictionary(&bytes) {
            vec![Member {
                name: ONLY.to_owned(),
                place: 0..bytes.len(),
            }]
        } else {
            return Err(Error::Bad {
                origin: origin.to_owned(),
                message: "this is neither CTF nor an archive of it (version 1): the magic number \
                          is missing"
                    .to_owned(),
            });
        };
        Ok(Archive {
            origin: origin.to_owned(),
            bytes,
            members,
        })
    }

    /// The names of the dictionaries.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// The place of the dictionary of a name among [`Archive::names`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names().position(|known| known == name)
    }

    /// What to call a dictionary in messages, and its bytes.
    pub(super) fn member(&self, index: usize) -> Option<(String, &[u8])> {
        let member = self.members.get(index)?;
        let origin = match &*member.name {
            ONLY => self.origin.clone(),
            name => format!("{}, dictionary {name}", self.origin),
        };
        Some((origin, self.bytes.get(member.place.clone())?))
    }
}

fn directory(bytes: &[u8]) -> std::result::Result<Vec<Member>, String> {
    let short = || {
        format!(
            "the CTF archive of {} bytes ends within its directory",
            bytes.len()
        )
    };
    let field = |offset| {
        number(bytes, offset)
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(short)
    };
    let (count, names, dictionaries) = (field(16)?, field(24)?, field(32)?);
    if count > bytes.len() / ENTRY_SIZE {
        return Err(short());
    }
    (0..count)
        .map(|index| {
            let entry = HEADER_SIZE + index * ENTRY_SIZE;
            let name = names
                .checked_add(field(entry)?)
                .and_then(|offset| c_string_at(bytes, offset))
                .and_then(|name| std::str::from_utf8(name).ok())
                .ok_or_else(|| {
                    format!("dictionary {index} of the CTF archive has no valid name")
                })?;
            let outside = || {
                format!(
                    "the CTF archive of {} bytes ends before its dictionary {name} does; copy it \
                     again",
                    bytes.len()
                )
            };
            let start = dictionaries
                .checked_add(field(entry + 8)?)
                .ok_or_else(outside)?;
            // Writers until 2025 count the eight bytes of the size among it; with later ones the
            // dictionary begins behind them. What is taken too much of the first kind does no
            // harm: a dictionary knows its end.
            let size = field(start).map_err(|_| outside())?;
            if start.checked_add(size).is_none_or(|end| end > bytes.len()) {
                return Err(outside());
            }
            let begin = start.saturating_add(8).min(bytes.len());
            let end = begin.saturating_add(size).min(bytes.len());
            Ok(Member {
                name: name.to_owned(),
                place: begin..end,
            })
        })
        .collect()
}

fn number(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}
