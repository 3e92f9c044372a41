//! Kernels whose memory somebody else provides.

use std::sync::Arc;

use super::kernel::KernelParts;
use super::{OpenOptions, Target, TargetKind, discovery};
use crate::notes::Notes;
use crate::{Architecture, Memory, Platform, VmCoreInfo};

/// Makes a target of memory that has been given segments, physical ones at least, and of the text
/// of the kernel's VMCOREINFO.
///
/// Virtual addresses without a segment of their own are translated by the kernel's page tables.
/// Without a `platform`, the architecture is the one that VMCOREINFO tells, else this machine's.
pub fn custom_kernel(
    memory: Arc<Memory>,
    platform: Option<Platform>,
    vmcoreinfo: &[u8],
    is_live: bool,
) -> Target {
    let platform = platform.unwrap_or_else(|| {
        match discovery::architecture_of(&VmCoreInfo::parse(vmcoreinfo)) {
            Architecture::Unknown => Platform::HOST,
            architecture => Platform {
                architecture,
                ..Platform::HOST
            },
        }
    });
    KernelParts {
        kind: if is_live {
            TargetKind::RemoteKernel
        } else {
            TargetKind::KernelDump
        },
        platform,
        memory,
        notes: Notes::default(),
        vmcoreinfo: Some(vmcoreinfo.to_vec()),
        path: None,
        truncation: None,
        remarks: Vec::new(),
        is_searchable: false,
    }
    .into_target(&OpenOptions::default())
}
