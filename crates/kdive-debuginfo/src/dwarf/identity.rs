//! Tells whether two units declare the same thing, so that the index keeps one of them.
//!
//! Nearly every type of a C program is described again in each unit that includes its header.
//! Two descriptions are the same if they have the same name, scopes, file, line, column, size and
//! length.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use gimli::constants as dw;

use super::encoding::{Cursor, Encoding};

/// A hash of what identifies a declaration. It is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn new(seed: u64) -> Fingerprint {
        Fingerprint(0x9e37_79b9_7f4a_7c15).with(seed)
    }

    #[inline]
    pub(super) fn with(self, value: u64) -> Fingerprint {
        let mixed = (self.0 ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Fingerprint((mixed ^ (mixed >> 32)) | 1)
    }

    pub(super) fn with_bytes(self, bytes: &[u8]) -> Fingerprint {
        let hash = bytes
            .iter()
            .fold(self, |hash, &byte| hash.with(u64::from(byte)));
        hash.with(bytes.len() as u64)
    }

    /// Half of it, to be stored.
    pub(super) fn short(self) -> u32 {
        (self.0 >> 32) as u32 | 1
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }
}

/// The fingerprints that were met.
pub(super) type Met = HashSet<Fingerprint, BuildHasherDefault<AsIs>>;

/// Fingerprints are hashes already.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 << 8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Reads from the header of a line table what identifies its files, by their numbers. `directory`
/// identifies the directory where the unit was compiled.
pub(super) fn read_files(
    debug_line: &[u8],
    offset: u64,
    encoding: Encoding,
    directory: Fingerprint,
    files: &mut Vec<Fingerprint>,
) -> Option<()> {
    files.clear();
    let mut cursor = Cursor::new(debug_line, offset, encoding.byte_order)?;
    let is_dwarf64 = cursor.unsigned(4)? == 0xffff_ffff;
    if is_dwarf64 {
        cursor.skip(8)?;
    }
    let version = cursor.unsigned(2)? as u16;
    let encoding = Encoding {
        version,
        is_dwarf64,
        ..encoding
    };
    if version >= 5 {
        cursor.skip(2)?;
    }
    cursor.skip(u64::from(encoding.offset_size()))?;
    // minimum_instruction_length, maximum_operations_per_instruction from version 4 on,
    // default_is_stmt, line_base, line_range
    cursor.skip(if version >= 4 { 5 } else { 4 })?;
    let opcodes = cursor.u8()?;
    cursor.skip(u64::from(opcodes.checked_sub(1)?))?;
    if version >= 5 {
        read_files_v5(&mut cursor, encoding, files)
    } else {
        read_files_v2(&mut cursor, directory, files)
    }
}

fn read_files_v2(
    cursor: &mut Cursor<'_>,
    directory: Fingerprint,
    files: &mut Vec<Fingerprint>,
) -> Option<()> {
    let mut directories = vec![directory];
    loop {
        let path = cursor.c_string()?;
        if path.is_empty() {
            break;
        }
        directories.push(directory.with_bytes(path));
    }
    // Files are numbered from 1.
    files.push(directory);
    loop {
        let path = cursor.c_string()?;
        if path.is_empty() {
            return Some(());
        }
        let directory = directories.get(usize::try_from(cursor.uleb()?).ok()?)?;
        cursor.uleb()?;
        cursor.uleb()?;
        files.push(directory.with_bytes(path));
    }
}

fn read_files_v5(
    cursor: &mut Cursor<'_>,
    encoding: Encoding,
    files: &mut Vec<Fingerprint>,
) -> Option<()> {
    let mut directories = Vec::new();
    let none = Fingerprint::new(0);
    read_entries(cursor, encoding, |path, _| {
        // The first one is where the unit was compiled; others may be relative to it.
        let base = directories.first().copied().unwrap_or(none);
        directories.push(base.with(path.value()));
        Some(())
    })?;
    read_entries(cursor, encoding, |path, directory| {
        let directory = directories.get(usize::try_from(directory).ok()?)?;
        files.push(directory.with(path.value()));
        Some(())
    })
}

/// Reads a table of directories or files of DWARF 5, whose fields it describes itself.
fn read_entries(
    cursor: &mut Cursor<'_>,
    encoding: Encoding,
    mut add: impl FnMut(Fingerprint, u64) -> Option<()>,
) -> Option<()> {
    let field_count = cursor.u8()?;
    let mut fields = [(0, 0); 256];
    for field in fields.iter_mut().take(usize::from(field_count)) {
        *field = (cursor.uleb()?, cursor.uleb()?);
    }
    let count = cursor.uleb()?;
    if field_count == 0 {
        return (count == 0).then_some(());
    }
    for _ in 0..count {
        let mut path = Fingerprint::new(1);
        let mut directory = 0;
        for &(content, form) in fields.iter().take(usize::from(field_count)) {
            match dw::DwLnct(content as u16) {
                dw::DW_LNCT_path => path = read_string(*cursor, form, encoding)?,
                dw::DW_LNCT_directory_index => directory = read_number(*cursor, form)?,
                _ => {}
            }
            cursor.skip_form(form, encoding)?;
        }
        add(path, directory)?;
    }
    Some(())
}

/// Strings that are equal but are not at the same place count as different.
pub(super) fn read_string(
    mut cursor: Cursor<'_>,
    form: u64,
    encoding: Encoding,
) -> Option<Fingerprint> {
    let form = u16::try_from(form).ok()?;
    let kind = Fingerprint::new(u64::from(form));
    Some(match dw::DwForm(form) {
        dw::DW_FORM_string => kind.with_bytes(cursor.c_string()?),
        dw::DW_FORM_strp | dw::DW_FORM_line_strp => {
            kind.with(cursor.unsigned(encoding.offset_size())?)
        }
        _ => return None,
    })
}

fn read_number(mut cursor: Cursor<'_>, form: u64) -> Option<u64> {
    match dw::DwForm(u16::try_from(form).ok()?) {
        dw::DW_FORM_udata => cursor.uleb(),
        dw::DW_FORM_data1 => cursor.unsigned(1),
        dw::DW_FORM_data2 => cursor.unsigned(2),
        dw::DW_FORM_data4 => cursor.unsigned(4),
        _ => None,
    }
}
