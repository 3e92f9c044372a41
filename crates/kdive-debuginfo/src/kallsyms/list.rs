//! The symbols as `/proc/kallsyms` lists them.

use super::{MAX_SYMBOLS, Names, bad, symbols};
use crate::Result;
use crate::symbols::SymbolTable;

/// The symbols of the kernel itself in the text of `/proc/kallsyms`: an address, a letter and a
/// name in each line, for modules and BPF programs the name of those in brackets.
///
/// # Errors
///
/// The text is another kernel's, as `stext`, the address of `_stext`, tells; or the kernel hides
/// its addresses from who read it, and gives 0 for each.
pub fn listed(text: &[u8], stext: Option<u64>) -> Result<SymbolTable> {
    let mut names = Names {
        bytes: Vec::new(),
        starts: Vec::new(),
    };
    let mut addresses = Vec::new();
    let mut own_stext = None;
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() || line.contains(&b'[') {
            continue;
        }
        let parsed = parse(line).filter(|_| addresses.len() < MAX_SYMBOLS as usize);
        let Some((address, letter, name)) = parsed else {
            return Err(bad(format!(
                "line {} of /proc/kallsyms is no symbol: {}",
                number + 1,
                String::from_utf8_lossy(line.get(..80).unwrap_or(line))
            )));
        };
        if name == b"_stext" {
            own_stext = Some(address);
        }
        names.starts.push(names.bytes.len() as u32);
        names.bytes.push(letter);
        names.bytes.extend_from_slice(name);
        names.bytes.push(0);
        addresses.push(address);
    }
    if !addresses.is_empty() && addresses.iter().all(|address| *address == 0) {
        return Err(bad(
            "/proc/kallsyms hides the addresses; run kdive as root, with the sysctl \
             kernel.kptr_restrict at 0 or 1"
                .to_owned(),
        ));
    }
    if let (Some(own), Some(stext)) = (own_stext, stext)
        && own != stext
    {
        return Err(bad(format!(
            "/proc/kallsyms has _stext at {own:#x}, this kernel at {stext:#x}"
        )));
    }
    Ok(symbols(names, &addresses))
}

fn parse(line: &[u8]) -> Option<(u64, u8, &[u8])> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let address = u64::from_str_radix(std::str::from_utf8(words.next()?).ok()?, 16).ok()?;
    let [letter] = words.next()? else {
        return None;
    };
    let name = words.next().filter(|name| !name.is_empty())?;
    Some((address, *letter, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"0000000000000000 A fixed_percpu_data\n\
        ffffffff81000000 T _stext\n\
        ffffffff81000040 t helper\n\
        ffffffffc0000000 t in_module\t[loop]\n\
        ffffffffc0001000 t bpf_prog_6deef7357e7b4530\t[bpf]\n";

    #[test]
    fn symbols_of_the_kernel_itself_are_taken() {
        let table = listed(TEXT, Some(0xffff_ffff_8100_0000)).expect("it is this kernel's");
        let address = |name| table.by_name(name).map(|symbol| symbol.address);
        assert_eq!(address("helper"), Some(0xffff_ffff_8100_0040));
        assert_eq!(address("_stext"), Some(0xffff_ffff_8100_0000));
        assert_eq!(address("in_module"), None);
        assert_eq!(
            table.by_name("_stext").map(|symbol| symbol.size),
            Some(0x40)
        );
    }

    #[test]
    fn what_is_no_use_is_said() {
        let message = |text: &[u8], stext| match listed(text, stext) {
            Ok(_) => panic!("nothing is wrong with it"),
            Err(error) => error.to_string(),
        };
        let hidden = b"0000000000000000 T _stext\n0000000000000000 T _etext\n";
        assert!(message(hidden, Some(1)).contains("kernel.kptr_restrict"));
        assert!(
            message(TEXT, Some(1)).contains("_stext at 0xffffffff81000000, this kernel at 0x1")
        );
        assert!(message(b"Permission denied\n", None).contains("line 1 of /proc/kallsyms"));
    }
}
