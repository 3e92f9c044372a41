//! VMCOREINFO: what a kernel says of itself for those who read its dump.

use std::collections::HashMap;

/// The lines of VMCOREINFO.
///
/// A line is `KEY=VALUE`, with keys such as `OSRELEASE`, `SYMBOL(init_uts_ns)`,
/// `OFFSET(list_head.next)`, `SIZE(page)`, `LENGTH(zone.free_area)` or `NUMBER(PG_slab)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmCoreInfo {
    raw: Vec<u8>,
    lines: HashMap<String, String>,
}

impl VmCoreInfo {
    /// Bytes beyond these are not believed: the kernel has a page for all of it.
    const MOST: usize = 1 << 20;

    /// Reads the text of a VMCOREINFO note; lines without `=` are passed over.
    pub fn parse(raw: &[u8]) -> Self {
        let raw = raw.get(..Self::MOST).unwrap_or(raw);
        let raw = crate::bytes::until_nul(raw);
        let lines = raw
            .split(|&byte| byte == b'\n')
            .filter_map(|line| {
                let line = String::from_utf8_lossy(line);
                let (key, value) = line.split_once('=')?;
                Some((key.trim().to_owned(), value.trim().to_owned()))
            })
            .collect();
        Self {
            raw: raw.to_vec(),
            lines,
        }
    }

    /// The text as the kernel wrote it.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The value of a line by its whole key, such as `OFFSET(list_head.next)`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.get(key).map(String::as_str)
    }

    fn in_brackets(&self, kind: &str, name: &str) -> Option<&str> {
        self.get(&format!("{kind}({name})"))
    }

    /// The release, as `uname -r` prints it.
    pub fn os_release(&self) -> Option<&str> {
        self.get("OSRELEASE")
    }

    /// The page size in bytes, if it is a power of two.
    pub fn page_size(&self) -> Option<u64> {
        let size: u64 = self.get("PAGESIZE")?.parse().ok()?;
        size.is_power_of_two().then_some(size)
    }

    /// The build ID of the kernel (since Linux 5.9).
    ///
    /// `None` too for stable releases that write garbage there.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        if self.os_release().is_some_and(has_broken_build_id) {
            return None;
        }
        // Distributions name their releases as they like, so the garbage is looked for as well:
        // the name of the note in front of the build ID.
        decode_hex(self.get("BUILD-ID")?).filter(|id| !id.windows(4).any(|bytes| bytes == b"GNU\0"))
    }

    /// The virtual KASLR offset: what was added to the addresses of the kernel's symbols.
    pub fn kernel_offset(&self) -> Option<u64> {
        u64::from_str_radix(self.get("KERNELOFFSET")?, 16).ok()
    }

    /// The time of the crash in seconds since 1970.
    pub fn crash_time(&self) -> Option<i64> {
        self.get("CRASHTIME")?.parse().ok()
    }

    /// The address of a symbol, KASLR included.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.in_brackets("SYMBOL", name)?, 16).ok()
    }

    /// All symbols and their addresses, KASLR included.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, u64)> {
        self.lines.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix("SYMBOL(")?.strip_suffix(')')?;
            Some((name, u64::from_str_radix(value, 16).ok()?))
        })
    }

    /// The offset of a member in bytes; `member` is written like `list_head.next`.
    pub fn offset(&self, member: &str) -> Option<u64> {
        self.in_brackets("OFFSET", member)?.parse().ok()
    }

    /// The size of a type in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.in_brackets("SIZE", name)?.parse().ok()
    }

    /// The number of elements of an array.
    pub fn length(&self, name: &str) -> Option<u64> {
        self.in_brackets("LENGTH", name)?.parse().ok()
    }

    /// A constant. Those above the signed range, such as `kimage_voffset`, wrap.
    ///
    /// The kernel writes decimal numbers, for some masks hexadecimal ones with `0x`.
    pub fn number(&self, name: &str) -> Option<i64> {
        let text = self.in_brackets("NUMBER", name)?;
        if let Some(digits) = text.strip_prefix("0x") {
            return u64::from_str_radix(digits, 16).ok().map(u64::cast_signed);
        }
        let signed = text.parse().ok();
        signed.or_else(|| text.parse().ok().map(u64::cast_signed))
    }

    /// The bits of a pointer that `AArch64` kernels use for authentication codes, 0 if none.
    pub fn pointer_authentication_mask(&self) -> u64 {
        self.in_brackets("NUMBER", "KERNELPACMASK")
            .map(|text| text.trim_start_matches("0x"))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or(0)
    }
}

/// Whether the build ID in VMCOREINFO is garbage.
///
/// The backport of "lib/buildid: harden build ID parsing logic" (first in Linux 6.12) to stable
/// branches did not count the size of the note's header, until "lib/buildid: Fix build ID parsing
/// logic" came there too. Branches that ended before stay broken.
fn has_broken_build_id(release: &str) -> bool {
    let numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .take(3)
        .map(|digits| digits.parse::<u32>().unwrap_or(0));
    matches!(
        numbers.collect::<Vec<_>>()[..],
        [6, 11, 3..=9]
            | [6, 10, 14..=u32::MAX]
            | [6, 6, 55..=62]
            | [6, 1, 113..=118]
            | [5, 15, 168..=u32::MAX]
    )
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            Some((digit(pair.first()?)? << 4 | digit(pair.get(1)?)?) as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &[u8] = b"OSRELEASE=6.1.0-56-amd64\nBUILD-ID=0aff10\nPAGESIZE=4096\n\
        SYMBOL(swapper_pg_dir)=ffffffff8a20a000\nOFFSET(list_head.next)=0\nSIZE(page)=64\n\
        LENGTH(mem_section)=2048\nNUMBER(phys_base)=12582912\nNUMBER(x)=-129\n\
        NUMBER(kimage_voffset)=0xffff7fffc0000000\nNUMBER(big)=18446744073709551615\n\
        KERNELOFFSET=8400000\nCRASHTIME=1700000000\nno equals sign\n\0\0";

    #[test]
    fn reads_each_kind_of_line() {
        let info = VmCoreInfo::parse(SAMPLE);
        assert_eq!(info.os_release(), Some("6.1.0-56-amd64"));
        assert_eq!(info.build_id(), Some(vec![0x0a, 0xff, 0x10]));
        assert_eq!(info.page_size(), Some(4096));
        assert_eq!(info.symbol("swapper_pg_dir"), Some(0xffff_ffff_8a20_a000));
        assert_eq!(info.offset("list_head.next"), Some(0));
        assert_eq!(info.size("page"), Some(64));
        assert_eq!(info.length("mem_section"), Some(2048));
        assert_eq!(info.number("phys_base"), Some(12_582_912));
        assert_eq!(info.number("x"), Some(-129));
        assert_eq!(info.number("kimage_voffset"), Some(-0x8000_4000_0000));
        assert_eq!(info.number("big"), Some(-1));
        assert_eq!(info.kernel_offset(), Some(0x0840_0000));
        assert_eq!(info.crash_time(), Some(1_700_000_000));
        assert_eq!(info.get("no equals sign"), None);
        assert_eq!(info.symbol("absent"), None);
    }

    #[test]
    fn what_follows_the_first_mebibyte_is_not_read() {
        let text = [b"A=1\n", vec![b'\n'; VmCoreInfo::MOST].as_slice(), b"B=2\n"].concat();
        let info = VmCoreInfo::parse(&text);
        assert_eq!((info.get("A"), info.get("B")), (Some("1"), None));
    }

    #[test]
    fn broken_build_ids_are_not_believed() {
        for (release, broken) in [
            ("6.1.0-56-amd64", false),
            ("6.1.113", true),
            ("6.1.119-debug", false),
            ("6.11.9-200.fc40", true),
            ("6.11.10", false),
            ("6.12.3", false),
            ("5.15.200", true),
            ("6.6.54", false),
        ] {
            assert_eq!(has_broken_build_id(release), broken, "{release}");
        }
    }

    #[test]
    fn a_note_header_is_no_build_id() {
        let info = VmCoreInfo::parse(b"BUILD-ID=1400000003000000474e55000123456789abcdef\n");
        assert_eq!(info.build_id(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let info = VmCoreInfo::parse(&bytes);
            info.build_id();
            info.page_size();
        }
    }
}
