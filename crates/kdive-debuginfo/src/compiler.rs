//! What the compiler that wrote CTF or BTF is known to do, which the formats don't tell.

/// In which order arrays of arrays are written.
///
/// gcc up to 13 writes `int a[2][3]` as three arrays of two ("CTF: fix incorrect CTF for
/// multi-dimensional array types", PR debug/114186, is in gcc 14), in BTF as well. Nothing in the
/// formats tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayOrder {
    /// As the format wants it: the outermost dimension first.
    OutermostFirst,
    /// As gcc up to 13 does.
    InnermostFirst,
}

/// The first version of gcc that writes arrays in the right order.
const FIRST_RIGHT: u32 = 14;

impl ArrayOrder {
    /// What is done by the compiler that calls itself so: in the section `.comment` of a program
    /// (`GCC: (Debian 12.2.0-14) 12.2.0`), or in the banner of a kernel
    /// (`… (gcc (GCC) 11.4.1 20230605, GNU ld …) …`). None if no gcc is named.
    ///
    /// Start files of the C library may come from an older compiler; the newest one counts.
    pub fn of_compiler(text: &str) -> Option<ArrayOrder> {
        let newest = text
            .split('\0')
            .filter_map(|line| {
                let line = line.split(", ").next()?;
                let start = line.to_ascii_lowercase().find("gcc")?;
                line.get(start..)?
                    .split([' ', ')'])
                    .filter_map(major)
                    .next_back()
            })
            .max()?;
        Some(if newest < FIRST_RIGHT {
            ArrayOrder::InnermostFirst
        } else {
            ArrayOrder::OutermostFirst
        })
    }
}

/// 12 for `12.2.0`.
fn major(word: &str) -> Option<u32> {
    let mut parts = word.split('.').map(str::parse::<u32>);
    let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
    (minor.is_ok() && patch.is_ok()).then_some(major.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_by_what_they_call_themselves() {
        use ArrayOrder::{InnermostFirst, OutermostFirst};
        let cases = [
            (
                "GCC: (Debian 12.2.0-14+deb12u1) 12.2.0\0",
                Some(InnermostFirst),
            ),
            (
                "GCC: (Debian 12.2.0-14) 12.2.0\0GCC: (GNU) 14.1.0\0",
                Some(OutermostFirst),
            ),
            (
                "Linux version 5.15.0-200.el9uek.x86_64 (mockbuild@host) (gcc (GCC) 11.3.1 \
                 20221121 (Red Hat 11.3.1-4.3.0.4), GNU ld version 2.35.2-42.0.1.el9) #2 SMP",
                Some(InnermostFirst),
            ),
            (
                "Linux version 6.12.0 (a@b) (x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0, \
                 GNU ld (GNU Binutils for Debian) 2.44) #1",
                Some(OutermostFirst),
            ),
            ("clang version 19.1.7", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(ArrayOrder::of_compiler(text), expected, "{text}");
        }
    }
}
