//! The hash of names in what is kept on disk.

/// FNV-1a, folded: the hash is kept on disk, so it must never change.
pub(crate) fn hash_name(name: &[u8]) -> u32 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}
