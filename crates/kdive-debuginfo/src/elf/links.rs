//! Links to other files of the same module, and the file that is within one.

use std::path::PathBuf;

use super::{ElfFile, bad, compression};
use crate::Result;

/// `.gnu_debuglink`: which file has the debug information of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugLink {
    /// The name of the file, without a directory.
    pub file_name: PathBuf,
    /// The CRC-32 of that file's bytes.
    pub checksum: u32,
}

/// `.gnu_debugaltlink` or `.debug_sup`: which file has the debug information that several share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplementaryLink {
    /// The path of the file, absolute or relative to this file's.
    pub path: PathBuf,
    /// The build ID or checksum that it must have.
    pub checksum: Vec<u8>,
}

impl ElfFile {
    /// The file within this one that has the symbols which were stripped from it
    /// (`.gnu_debugdata`, also called `MiniDebugInfo`).
    pub fn mini_debug_info(&self) -> Result<Option<ElfFile>> {
        let Some(data) = self.section_data(".gnu_debugdata")? else {
            return Ok(None);
        };
        let failed = |message: &str| self.bad(&format!(".gnu_debugdata: {message}"));
        let bytes = compression::decompress_file(data).ok_or_else(|| failed("not compressed"))?;
        let bytes = bytes.map_err(|message| failed(&message))?;
        ElfFile::from_bytes(&self.path, bytes).map(Some)
    }

    /// The file that `.gnu_debuglink` names.
    pub fn debug_link(&self) -> Result<Option<DebugLink>> {
        let Some(data) = self.section_data(".gnu_debuglink")? else {
            return Ok(None);
        };
        let malformed = || bad(&self.path, ".gnu_debuglink: no file name and checksum");
        let name_length = data
            .iter()
            .position(|&byte| byte == 0)
            .ok_or_else(malformed)?;
        let checksum_at = (name_length + 1).next_multiple_of(4);
        let checksum = data
            .get(checksum_at..)
            .and_then(|rest| rest.first_chunk::<4>());
        Ok(Some(DebugLink {
            file_name: path_from_bytes(&data[..name_length]),
            checksum: self.u32_from(*checksum.ok_or_else(malformed)?),
        }))
    }

    /// The file that `.gnu_debugaltlink` or `.debug_sup` names.
    pub fn supplementary_link(&self) -> Result<Option<SupplementaryLink>> {
        if let Some(data) = self.section_data(".gnu_debugaltlink")? {
            let name_length = data
                .iter()
                .position(|&byte| byte == 0)
                .ok_or_else(|| bad(&self.path, ".gnu_debugaltlink: the file name does not end"))?;
            return Ok(Some(SupplementaryLink {
                path: path_from_bytes(&data[..name_length]),
                checksum: data[name_length + 1..].to_vec(),
            }));
        }
        let Some(data) = self.section_data(".debug_sup")? else {
            return Ok(None);
        };
        // DWARF 5, 7.3.6: version (2 bytes), is_supplementary (1 byte), file name, length of the
        // checksum (LEB128), checksum.
        let malformed = || bad(&self.path, ".debug_sup: damaged");
        if data.get(2).ok_or_else(malformed)? != &0 {
            return Ok(None);
        }
        let name = &data[3..];
        let name_length = name
            .iter()
            .position(|&byte| byte == 0)
            .ok_or_else(malformed)?;
        let mut rest = gimli::EndianSlice::new(&name[name_length + 1..], gimli::LittleEndian);
        let checksum = gimli::Reader::read_uleb128(&mut rest)
            .ok()
            .and_then(|length| rest.slice().get(..usize::try_from(length).ok()?))
            .ok_or_else(malformed)?;
        Ok(Some(SupplementaryLink {
            path: path_from_bytes(&name[..name_length]),
            checksum: checksum.to_vec(),
        }))
    }

    /// Whether this is the file that another one's link names: it has the build ID or, in DWARF 5,
    /// the checksum.
    pub fn is_supplementary(&self, link: &SupplementaryLink) -> Result<bool> {
        if self.build_id() == Some(&*link.checksum) {
            return Ok(true);
        }
        let Some(data) = self.section_data(".debug_sup")? else {
            return Ok(false);
        };
        let own = data.get(2) == Some(&1) && data.ends_with(&link.checksum);
        Ok(own && !link.checksum.is_empty())
    }
}

fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
