//! The types that the kernel and its modules carry with them as BTF.

use std::path::Path;
use std::sync::Arc;

use kdive_debuginfo::btf::{ArrayOrder, Btf, BtfSource, Environment};
use kdive_debuginfo::description::TypeKinds;
use kdive_debuginfo::kallsyms::KernelImage;
use kdive_target::{AddressSpace, TargetKind};

use super::super::debug_info::FormatFinder;
use super::super::{ObjectFinder, ObjectKinds, Program, TypeFinder};
use super::KernelTypes;
use crate::Result;
use crate::module::Module;
use crate::object::{Object, container_of};
use crate::types::{ImportedTypes, Type};

/// The BTF of a kernel has some megabytes.
const MAX_BTF_SIZE: u64 = 1 << 28;

/// A kernel has some hundreds of modules; a list that is much longer is damaged.
const MAX_MODULES: usize = 1 << 16;

/// Where the running kernel shows its BTF and that of its modules, since "bpf: Emit BTF in
/// sysfs", Linux 5.4.
const SYSFS: &str = "/sys/kernel/btf";

/// Asks the BTF that was loaded, that of the kernel and those of its modules, in this order.
pub(in super::super) struct BtfFinder;

impl BtfFinder {
    /// The first answer of the kernel's and its modules' types.
    fn ask<T>(
        program: &Arc<Program>,
        question: impl Fn(&ImportedTypes) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if !program.uses_builtin() {
            return Ok(None);
        }
        let Some(kernel) = program.kernel_types() else {
            return Ok(None);
        };
        if let Some(answer) = question(&kernel.imported)? {
            return Ok(Some(answer));
        }
        for module in program.modules().all() {
            if let Some(types) = module.types_in_memory(kernel)
                && let Some(answer) = question(types)?
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

impl TypeFinder for BtfFinder {
    fn find(
        &self,
        program: &Arc<Program>,
        kinds: TypeKinds,
        name: &str,
        file_name: Option<&str>,
    ) -> Result<Option<Type>> {
        let loaded = TypeFinder::find(&FormatFinder("btf"), program, kinds, name, file_name)?;
        if loaded.is_some() {
            return Ok(loaded);
        }
        Self::ask(program, |types| types.find(kinds, name, file_name))
    }

    fn is_stable(&self) -> bool {
        true
    }
}

impl ObjectFinder for BtfFinder {
    fn find(
        &self,
        program: &Arc<Program>,
        name: &str,
        kinds: ObjectKinds,
        file_name: Option<&str>,
    ) -> Result<Option<Object>> {
        let loaded = ObjectFinder::find(&FormatFinder("btf"), program, name, kinds, file_name)?;
        if loaded.is_some() {
            return Ok(loaded);
        }
        Self::ask(program, |types| {
            types.find_object(program, name, kinds, file_name)
        })
    }

    fn is_stable(&self) -> bool {
        true
    }
}

impl Program {
    /// The kernel's own types, read when they are first needed; none if it has none.
    pub(super) fn kernel_types(self: &Arc<Self>) -> Option<&KernelTypes> {
        self.builtin
            .types
            .get_or_init(|| match self.read_kernel_types() {
                Ok(types) => types,
                Err(error) => {
                    self.note_problem(format!(
                        "the kernel's own types can't be used: {error}; give its vmlinux"
                    ));
                    None
                }
            })
            .as_ref()
    }

    /// Whether the kernel's own memory has its types; reads them.
    pub fn has_builtin_types(self: &Arc<Self>) -> bool {
        self.uses_builtin() && self.kernel_types().is_some()
    }

    /// The kernel's own types, if they were read.
    pub(crate) fn builtin_types(&self) -> Option<&Arc<ImportedTypes>> {
        Some(&self.builtin.types.get()?.as_ref()?.imported)
    }

    fn read_kernel_types(self: &Arc<Self>) -> Result<Option<KernelTypes>> {
        let bytes = match self.btf_in_sysfs("vmlinux") {
            Some(bytes) => Some(bytes),
            None => self.kernel_btf_in_memory()?,
        };
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let btf = Arc::new(Btf::parse("BTF of the kernel", bytes.into(), None)?);
        let imported = self.import_btf(&btf, None)?;
        Ok(Some(KernelTypes { btf, imported }))
    }

    /// What the running kernel shows of itself or a module; none if another kernel is looked at.
    fn btf_in_sysfs(&self, name: &str) -> Option<Vec<u8>> {
        let is_running = self.target()?.kind == TargetKind::LiveKernel;
        let path = Path::new(SYSFS).join(name);
        let is_inside = path.parent() == Some(Path::new(SYSFS));
        (is_running && is_inside)
            .then(|| std::fs::read(path).ok())
            .flatten()
    }

    fn kernel_btf_in_memory(&self) -> Result<Option<Vec<u8>>> {
        let symbol = |name| self.kernel_symbol(name);
        let (Some(start), Some(stop)) = (symbol("__start_BTF"), symbol("__stop_BTF")) else {
            return Ok(self.find_btf());
        };
        let size = stop.saturating_sub(start);
        if size == 0 || size > MAX_BTF_SIZE {
            return Ok(None);
        }
        let bytes = self.read_bytes(AddressSpace::Virtual, start, size)?;
        Ok(Some(bytes))
    }

    fn import_btf(
        self: &Arc<Self>,
        btf: &Arc<Btf>,
        module: Option<&str>,
    ) -> Result<Arc<ImportedTypes>> {
        let environment = Environment {
            pointer_size: self.address_size()?,
            char_is_signed: self.char_is_signed()?,
            arrays: ArrayOrder::OutermostFirst,
            module: module.map(Arc::from),
        };
        let source = Arc::new(BtfSource::new(btf.clone(), environment)?);
        Ok(ImportedTypes::new(source, self, self.byte_order()))
    }

    /// Keeps the types of the kernel that were loaded from a file, for those of modules.
    pub(crate) fn note_loaded_btf(&self, btf: Arc<Btf>) {
        // The first ones stay.
        let _ = self.builtin.loaded_btf.set(btf);
    }

    /// The types of the kernel that those of a module go on from.
    pub(crate) fn btf_to_go_on_from(self: &Arc<Self>) -> Option<Arc<Btf>> {
        if let Some(loaded) = self.builtin.loaded_btf.get() {
            return Some(loaded.clone());
        }
        let is_wanted = self.uses_builtin();
        is_wanted
            .then(|| self.kernel_types().map(|types| types.btf.clone()))
            .flatten()
    }

    /// The BTF of a kernel without a symbol for it: the largest one in its image.
    fn find_btf(&self) -> Option<Vec<u8>> {
        let info = self.target()?.vmcoreinfo.as_ref()?;
        let image = KernelImage::new(self.memory(), self.byte_order(), info.symbol("_stext")?);
        let sizes = image
            .find(&Btf::usual_start(self.byte_order()))
            .into_iter()
            .filter_map(|address| {
                let header = image.read(address, Btf::HEADER_SIZE)?;
                let size = Btf::size(&header)?;
                (size <= MAX_BTF_SIZE).then_some((size, address))
            });
        let (size, address) = sizes.max()?;
        image.read(address, usize::try_from(size).ok()?)
    }
}

impl Module {
    /// The types that the module adds to those of its kernel, read when they are first needed.
    fn types_in_memory(&self, kernel: &KernelTypes) -> Option<&ImportedTypes> {
        self.types_in_memory
            .get_or_init(|| self.read_types(kernel).ok().flatten())
            .as_deref()
    }

    fn read_types(&self, kernel: &KernelTypes) -> Result<Option<Arc<ImportedTypes>>> {
        let Some(object) = self.object() else {
            return Ok(None);
        };
        let program = object.program().clone();
        let bytes = match program.btf_in_sysfs(self.name()) {
            Some(bytes) => bytes,
            None => match kernel.find_btf_of(&program, number(&object)?)? {
                Some((address, size)) if size <= MAX_BTF_SIZE => {
                    program.read_bytes(AddressSpace::Virtual, address, size)?
                }
                _ => return Ok(None),
            },
        };
        let origin = format!("BTF of the module {}", self.name());
        let btf = Btf::parse(&origin, bytes.into(), Some(kernel.btf.clone()))?;
        program
            .import_btf(&Arc::new(btf), Some(self.name()))
            .map(Some)
    }
}

impl KernelTypes {
    /// The address and size of the BTF that the kernel has read for the `struct module` at an
    /// address: on the list `btf_modules`, since "bpf: Load and verify kernel module BTFs",
    /// Linux 5.11. (`module.btf_data` is gone once the module is loaded.)
    ///
    /// Asks no finder: those would come here again.
    fn find_btf_of(&self, program: &Arc<Program>, module: u64) -> Result<Option<(u64, u64)>> {
        let find = |name| self.imported.find(TypeKinds::STRUCT, name, None);
        let (Some(head), Some(list), Some(entry)) = (
            program.kernel_symbol("btf_modules"),
            find("list_head")?,
            find("btf_module")?,
        ) else {
            return Ok(None);
        };
        let mut node = Object::reference(program, list, head, 0, None)?.member("next")?;
        for _ in 0..MAX_MODULES {
            if number(&node)? == head {
                break;
            }
            let entry = container_of(&node, &entry, "list")?;
            if number(&entry.member("module")?)? == module {
                let btf = entry.member("btf")?;
                let place = (
                    number(&btf.member("data")?)?,
                    number(&btf.member("data_size")?)?,
                );
                return Ok(Some(place));
            }
            node = entry.member("list")?.member("next")?.read()?;
        }
        Ok(None)
    }
}

fn number(object: &Object) -> Result<u64> {
    Ok(object.number()?.to_bits() as u64)
}
