//! The processor architecture, word size and byte order of a target.

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// None of the architectures below.
    Unknown,
    /// AMD64, Intel 64.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm.
    Arm,
    /// 64-bit PowerPC.
    Ppc64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 32-bit RISC-V.
    Riscv32,
    /// 64-bit IBM Z.
    S390x,
    /// 31-bit IBM Z.
    S390,
    /// 64-bit `LoongArch`.
    LoongArch64,
}

/// The order of the bytes of a number in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The least significant byte first.
    Little,
    /// The most significant byte first.
    Big,
}

impl ByteOrder {
    /// The byte order of the machine that kdive runs on.
    pub const HOST: ByteOrder = if cfg!(target_endian = "little") {
        ByteOrder::Little
    } else {
        ByteOrder::Big
    };
}

/// What must be known of a machine to read its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The processor architecture.
    pub architecture: Architecture,
    /// Whether addresses have 64 bits (else 32).
    pub is_64_bit: bool,
    /// The order of bytes in memory.
    pub byte_order: ByteOrder,
}

impl Platform {
    /// The platform that kdive runs on.
    pub const HOST: Platform = Platform {
        architecture: if cfg!(target_arch = "x86_64") {
            Architecture::X86_64
        } else if cfg!(target_arch = "aarch64") {
            Architecture::Aarch64
        } else {
            Architecture::Unknown
        },
        is_64_bit: cfg!(target_pointer_width = "64"),
        byte_order: ByteOrder::HOST,
    };

    /// The size of an address in bytes.
    pub fn address_size(self) -> u8 {
        if self.is_64_bit { 8 } else { 4 }
    }

    /// The greatest address.
    pub fn address_mask(self) -> u64 {
        if self.is_64_bit {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        }
    }
}
