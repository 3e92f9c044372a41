//! Abbreviation tables, compiled to what the indexing pass needs: how to get past an entry, and
//! where in it the few attributes are that the index wants.

use gimli::constants as dw;

use super::encoding::{Cursor, Encoding};
use super::index::EntryKind;

/// How a string is written in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringForm {
    /// In the entry itself.
    Inline,
    /// An offset in `.debug_str`, of this many bytes.
    Str(u8),
    /// An offset in `.debug_line_str`, of this many bytes.
    LineStr(u8),
    /// An offset in the supplementary file's `.debug_str`, of this many bytes.
    Supplementary(u8),
    /// An index in `.debug_str_offsets`, of this many bytes.
    Index(u8),
    /// The same as a LEB128 number.
    IndexLeb,
}

/// How a reference to another entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReferenceForm {
    /// Relative to the unit, in this many bytes.
    Unit(u8),
    /// The same as a LEB128 number.
    UnitLeb,
    /// Relative to the section, in this many bytes.
    Section(u8),
    /// Relative to the section of the supplementary file, in this many bytes.
    Supplementary(u8),
}

/// One step past the attributes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Skip bytes.
    Skip(u32),
    /// Skip a LEB128 number.
    Leb,
    /// Skip a string that ends with zero.
    CString,
    /// Skip a block whose length is written in this many bytes.
    Block(u8),
    /// Skip a block whose length is a LEB128 number.
    BlockLeb,
    /// Skip an attribute whose form precedes it.
    Indirect,
    /// Remember the name, and skip it.
    Name(StringForm),
    /// Remember the next sibling, and skip it.
    Sibling(ReferenceForm),
    /// Remember the entry that this one completes, and skip it.
    Origin(ReferenceForm),
}

impl Step {
    /// The number of bytes that it takes, if that is always the same.
    fn fixed_size(self) -> Option<u32> {
        match self {
            Step::Skip(size) => Some(size),
            Step::Name(
                StringForm::Str(size)
                | StringForm::LineStr(size)
                | StringForm::Supplementary(size)
                | StringForm::Index(size),
            )
            | Step::Sibling(
                ReferenceForm::Unit(size)
                | ReferenceForm::Section(size)
                | ReferenceForm::Supplementary(size),
            )
            | Step::Origin(
                ReferenceForm::Unit(size)
                | ReferenceForm::Section(size)
                | ReferenceForm::Supplementary(size),
            ) => Some(u32::from(size)),
            _ => None,
        }
    }
}

/// What the index wants to know of the entries with one abbreviation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abbreviation {
    /// What the index keeps these entries as, if it does.
    pub(super) kind: Option<EntryKind>,
    pub(super) tag: u16,
    pub(super) has_children: bool,
    pub(super) is_declaration: bool,
    /// Whether the entry says where its code is.
    pub(super) has_code: bool,
    /// Where the name is from the start of the attributes, if it is an offset in `.debug_str` of
    /// 4 bytes and nothing before it varies in length: nearly all are.
    pub(super) name_at: Option<u16>,
    /// The same for the next sibling, as a unit reference of 4 bytes.
    pub(super) sibling_at: Option<u16>,
    /// The number of bytes before the first attribute that `steps` has to look at.
    pub(super) fixed: u16,
    /// A range of [`Abbreviations::steps`].
    steps: (u32, u32),
    /// The number of its [`Identity`].
    identity: u32,
    /// Where its attribute specifications start in `.debug_abbrev`.
    specifications: u64,
}

/// An attribute that distinguishes declarations of the same name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Field {
    /// The entry doesn't have it.
    #[default]
    None,
    /// A number of `size` bytes at `at` from the start of the attributes, or from the end of
    /// the name (see [`Identity::follows_name`]).
    Fixed { at: u16, size: u8 },
    /// The same in all entries.
    Constant(i64),
}

/// Where the attributes are that distinguish declarations of the same name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Identity {
    pub(super) file: Field,
    /// Line, column, size, encoding.
    pub(super) others: [Field; 4],
    /// Whether the entry starts with its name as a string, behind which the fields are.
    pub(super) follows_name: bool,
    /// Whether such an attribute is somewhere else, so that equal entries can't be told.
    pub(super) is_incomplete: bool,
}

/// A compiled abbreviation table.
#[derive(Debug, Default)]
pub(super) struct Abbreviations {
    /// By code less one; compilers number them from one.
    dense: Vec<Option<Abbreviation>>,
    steps: Vec<Step>,
    identities: Vec<Identity>,
}

/// Codes beyond this are not from any compiler.
const GREATEST_CODE: u64 = 1 << 20;

impl Abbreviation {
    /// Whether all its attributes together always have the same length.
    #[inline]
    pub(super) fn is_fixed(&self) -> bool {
        self.steps.0 == self.steps.1
    }
}

impl Abbreviations {
    pub(super) fn get(&self, code: u64) -> Option<&Abbreviation> {
        self.dense
            .get(usize::try_from(code).ok()?.checked_sub(1)?)?
            .as_ref()
    }

    pub(super) fn steps(&self, abbreviation: &Abbreviation) -> &[Step] {
        let (start, end) = abbreviation.steps;
        self.steps
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    pub(super) fn identity(&self, abbreviation: &Abbreviation) -> Identity {
        self.identities
            .get(abbreviation.identity as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Compiles the table at `offset` of `.debug_abbrev`, in place of this one.
    pub(super) fn compile(
        &mut self,
        debug_abbrev: &[u8],
        offset: u64,
        encoding: Encoding,
    ) -> Result<(), &'static str> {
        self.dense.clear();
        self.steps.clear();
        self.identities.clear();
        let mut cursor = Cursor::new(debug_abbrev, offset, encoding.byte_order)
            .ok_or("the abbreviations lie beyond the end of .debug_abbrev")?;
        let truncated = "the abbreviations are truncated";
        loop {
            let code = cursor.uleb().ok_or(truncated)?;
            if code == 0 {
                return Ok(());
            }
            if code > GREATEST_CODE {
                return Err("an abbreviation has an absurd code");
            }
            let abbreviation = self.compile_one(&mut cursor, encoding).ok_or(truncated)??;
            let index = code as usize - 1;
            if index >= self.dense.len() {
                self.dense.resize(index + 1, None);
            }
            self.dense[index] = Some(abbreviation);
        }
    }

    /// Compiles one abbreviation, without its code. `None` if it is truncated.
    fn compile_one(
        &mut self,
        cursor: &mut Cursor<'_>,
        encoding: Encoding,
    ) -> Option<Result<Abbreviation, &'static str>> {
        let tag = cursor.uleb()? as u16;
        let has_children = cursor.u8()? != 0;
        let specifications = cursor.position();
        let first_step = self.steps.len();
        let mut fixed: u32 = 0;
        let mut seen = Seen::default();
        let mut identity = Identity::default();
        // How far from the start, or from the end of a name at the start, while that is known.
        let mut distance = Some(0);
        let (mut name_at, mut sibling_at) = (None, None);
        while let Some((attribute, form, constant)) = read_specification(cursor)? {
            seen.note(attribute);
            let step = match step(attribute, form, encoding) {
                Ok(step) => step,
                Err(message) => return Some(Err(message)),
            };
            let is_fixed_so_far = self.steps.len() == first_step;
            let here = u16::try_from(fixed).ok().filter(|_| is_fixed_so_far);
            identity.note(attribute, constant, step, distance);
            distance = match step {
                Step::Name(StringForm::Inline) if distance == Some(0) => {
                    identity.follows_name = true;
                    Some(0)
                }
                _ => distance.and_then(|distance: u16| {
                    distance.checked_add(u16::try_from(step.fixed_size()?).ok()?)
                }),
            };
            match (step, here) {
                (Step::Name(StringForm::Str(4)), Some(here)) => {
                    name_at = Some(here);
                    fixed += 4;
                }
                (Step::Sibling(ReferenceForm::Unit(4)), Some(here)) => {
                    sibling_at = Some(here);
                    fixed += 4;
                }
                (Step::Skip(size), Some(_)) => fixed += size,
                (Step::Skip(0), None) => {}
                (Step::Skip(size), None) => match self.steps.last_mut() {
                    Some(Step::Skip(last)) if !is_fixed_so_far => *last += size,
                    _ => self.steps.push(Step::Skip(size)),
                },
                _ => self.steps.push(step),
            }
        }
        let Ok(fixed) = u16::try_from(fixed) else {
            return Some(Err("an abbreviation has too many attributes"));
        };
        self.identities.push(identity);
        Some(Ok(Abbreviation {
            identity: self.identities.len() as u32 - 1,
            kind: seen.entry_kind(tag),
            tag,
            has_children,
            is_declaration: seen.declaration,
            has_code: seen.code_address,
            name_at,
            sibling_at,
            fixed,
            steps: (first_step as u32, self.steps.len() as u32),
            specifications,
        }))
    }

    /// Reads the attributes of one entry in full. `attributes` stands at the first of them.
    pub(super) fn for_each_attribute(
        debug_abbrev: &[u8],
        abbreviation: &Abbreviation,
        attributes: &mut Cursor<'_>,
        encoding: Encoding,
        mut visit: impl FnMut(u16, u16, Option<i64>, Cursor<'_>),
    ) -> Option<()> {
        let mut cursor = Cursor::new(
            debug_abbrev,
            abbreviation.specifications,
            encoding.byte_order,
        )?;
        while let Some((attribute, form, constant)) = read_specification(&mut cursor)? {
            visit(attribute, form, constant, *attributes);
            attributes.take_step(step(0, form, encoding).ok()?, encoding)?;
        }
        Some(())
    }
}

/// Reads an attribute's name, form, and implicit constant; `Some(None)` at the end of the list.
#[expect(
    clippy::option_option,
    reason = "truncation and the end of a list are different things"
)]
fn read_specification(cursor: &mut Cursor<'_>) -> Option<Option<(u16, u16, Option<i64>)>> {
    let attribute = cursor.uleb()?;
    let form = cursor.uleb()?;
    if attribute == 0 && form == 0 {
        return Some(None);
    }
    let implicit = form == u64::from(dw::DW_FORM_implicit_const.0);
    let constant = if implicit { Some(cursor.sleb()?) } else { None };
    Some(Some((
        attribute as u16,
        u16::try_from(form).unwrap_or(u16::MAX),
        constant,
    )))
}

impl Identity {
    fn note(&mut self, attribute: u16, constant: Option<i64>, step: Step, here: Option<u16>) {
        let [line, column, size, encoding] = &mut self.others;
        let field = match dw::DwAt(attribute) {
            dw::DW_AT_decl_file => &mut self.file,
            dw::DW_AT_decl_line => line,
            dw::DW_AT_decl_column => column,
            dw::DW_AT_byte_size => size,
            dw::DW_AT_encoding => encoding,
            _ => return,
        };
        match (constant, step, here) {
            (Some(value), _, _) => *field = Field::Constant(value),
            (None, Step::Skip(length @ 1..=8), Some(at)) => {
                *field = Field::Fixed {
                    at,
                    size: length as u8,
                };
            }
            _ => self.is_incomplete = true,
        }
    }
}

/// Which attributes an abbreviation has.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of attributes")]
struct Seen {
    name: bool,
    origin: bool,
    declaration: bool,
    code_address: bool,
    constant: bool,
    external: bool,
}

impl Seen {
    fn note(&mut self, attribute: u16) {
        match dw::DwAt(attribute) {
            dw::DW_AT_name => self.name = true,
            dw::DW_AT_specification | dw::DW_AT_abstract_origin => self.origin = true,
            dw::DW_AT_declaration => self.declaration = true,
            dw::DW_AT_low_pc | dw::DW_AT_ranges | dw::DW_AT_entry_pc => self.code_address = true,
            dw::DW_AT_const_value => self.constant = true,
            dw::DW_AT_external => self.external = true,
            _ => {}
        }
    }

    /// What the index keeps entries with `tag` as. Functions and variables that are defined
    /// elsewhere are not kept.
    fn entry_kind(&self, tag: u16) -> Option<EntryKind> {
        let tag = dw::DwTag(tag);
        if tag == dw::DW_TAG_namespace || tag == dw::DW_TAG_module {
            return Some(EntryKind::Namespace);
        }
        if tag == dw::DW_TAG_enumeration_type {
            // Even an anonymous one has enumerators with names.
            return Some(EntryKind::Enum);
        }
        if !self.name && !self.origin {
            return None;
        }
        match tag {
            dw::DW_TAG_structure_type => Some(EntryKind::Struct),
            dw::DW_TAG_union_type => Some(EntryKind::Union),
            dw::DW_TAG_class_type => Some(EntryKind::Class),
            dw::DW_TAG_typedef => Some(EntryKind::Typedef),
            dw::DW_TAG_base_type | dw::DW_TAG_unspecified_type => Some(EntryKind::Base),
            dw::DW_TAG_enumerator => Some(EntryKind::Enumerator),
            dw::DW_TAG_subprogram if self.code_address || !self.declaration => {
                Some(EntryKind::Function)
            }
            dw::DW_TAG_variable if !self.declaration || self.constant => Some(EntryKind::Variable),
            // DWARF 4 writes static data members so.
            dw::DW_TAG_member if self.external && self.constant => Some(EntryKind::Variable),
            _ => None,
        }
    }
}

/// How to get past an attribute, and what to remember of it.
fn step(attribute: u16, form: u16, encoding: Encoding) -> Result<Step, &'static str> {
    let offset_size = encoding.offset_size();
    let form = dw::DwForm(form);
    match dw::DwAt(attribute) {
        dw::DW_AT_name => {
            if let Some(string) = string_form(form, offset_size) {
                return Ok(Step::Name(string));
            }
        }
        dw::DW_AT_sibling => {
            if let Some(reference) = reference_form(form, encoding) {
                return Ok(Step::Sibling(reference));
            }
        }
        dw::DW_AT_specification | dw::DW_AT_abstract_origin => {
            if let Some(reference) = reference_form(form, encoding) {
                return Ok(Step::Origin(reference));
            }
        }
        _ => {}
    }
    Ok(match form {
        dw::DW_FORM_flag_present | dw::DW_FORM_implicit_const => Step::Skip(0),
        dw::DW_FORM_data1
        | dw::DW_FORM_ref1
        | dw::DW_FORM_flag
        | dw::DW_FORM_strx1
        | dw::DW_FORM_addrx1 => Step::Skip(1),
        dw::DW_FORM_data2 | dw::DW_FORM_ref2 | dw::DW_FORM_strx2 | dw::DW_FORM_addrx2 => {
            Step::Skip(2)
        }
        dw::DW_FORM_strx3 | dw::DW_FORM_addrx3 => Step::Skip(3),
        dw::DW_FORM_data4
        | dw::DW_FORM_ref4
        | dw::DW_FORM_strx4
        | dw::DW_FORM_addrx4
        | dw::DW_FORM_ref_sup4 => Step::Skip(4),
        dw::DW_FORM_data8 | dw::DW_FORM_ref8 | dw::DW_FORM_ref_sig8 | dw::DW_FORM_ref_sup8 => {
            Step::Skip(8)
        }
        dw::DW_FORM_data16 => Step::Skip(16),
        dw::DW_FORM_addr => Step::Skip(u32::from(encoding.address_size)),
        // DWARF 2 writes these with the size of an address.
        dw::DW_FORM_ref_addr if encoding.version <= 2 => {
            Step::Skip(u32::from(encoding.address_size))
        }
        dw::DW_FORM_strp
        | dw::DW_FORM_line_strp
        | dw::DW_FORM_sec_offset
        | dw::DW_FORM_ref_addr
        | dw::DW_FORM_strp_sup
        | dw::DW_FORM_GNU_ref_alt
        | dw::DW_FORM_GNU_strp_alt => Step::Skip(u32::from(offset_size)),
        dw::DW_FORM_udata
        | dw::DW_FORM_sdata
        | dw::DW_FORM_ref_udata
        | dw::DW_FORM_strx
        | dw::DW_FORM_addrx
        | dw::DW_FORM_loclistx
        | dw::DW_FORM_rnglistx
        | dw::DW_FORM_GNU_addr_index
        | dw::DW_FORM_GNU_str_index => Step::Leb,
        dw::DW_FORM_string => Step::CString,
        dw::DW_FORM_block1 => Step::Block(1),
        dw::DW_FORM_block2 => Step::Block(2),
        dw::DW_FORM_block4 => Step::Block(4),
        dw::DW_FORM_block | dw::DW_FORM_exprloc => Step::BlockLeb,
        dw::DW_FORM_indirect => Step::Indirect,
        _ => return Err("an attribute has an unknown form"),
    })
}

impl Cursor<'_> {
    /// Gets past the value of an attribute or a line table's field.
    pub(super) fn skip_form(&mut self, form: u64, encoding: Encoding) -> Option<()> {
        let step = step(0, u16::try_from(form).ok()?, encoding).ok()?;
        self.take_step(step, encoding)
    }

    /// Gets past one attribute. The caller remembers what is to be remembered.
    pub(super) fn take_step(&mut self, step: Step, encoding: Encoding) -> Option<()> {
        match step {
            Step::Skip(size) => self.skip(u64::from(size)),
            Step::Leb
            | Step::Name(StringForm::IndexLeb)
            | Step::Sibling(ReferenceForm::UnitLeb)
            | Step::Origin(ReferenceForm::UnitLeb) => self.uleb().map(|_| ()),
            Step::CString | Step::Name(StringForm::Inline) => self.c_string().map(|_| ()),
            Step::Block(size) => {
                let length = self.unsigned(size)?;
                self.skip(length)
            }
            Step::BlockLeb => {
                let length = self.uleb()?;
                self.skip(length)
            }
            Step::Indirect => {
                let form = self.uleb()?;
                let inner = step_of_indirect(form, encoding)?;
                self.take_step(inner, encoding)
            }
            Step::Name(_) | Step::Sibling(_) | Step::Origin(_) => {
                self.skip(u64::from(step.fixed_size()?))
            }
        }
    }
}

/// An indirect form may not be indirect again, nor have its value in the abbreviation.
fn step_of_indirect(form: u64, encoding: Encoding) -> Option<Step> {
    let form = u16::try_from(form).ok()?;
    match step(0, form, encoding).ok()? {
        Step::Indirect => None,
        _ if form == dw::DW_FORM_implicit_const.0 => None,
        step => Some(step),
    }
}

fn string_form(form: dw::DwForm, offset_size: u8) -> Option<StringForm> {
    Some(match form {
        dw::DW_FORM_string => StringForm::Inline,
        dw::DW_FORM_strp => StringForm::Str(offset_size),
        dw::DW_FORM_line_strp => StringForm::LineStr(offset_size),
        dw::DW_FORM_strp_sup | dw::DW_FORM_GNU_strp_alt => StringForm::Supplementary(offset_size),
        dw::DW_FORM_strx1 => StringForm::Index(1),
        dw::DW_FORM_strx2 => StringForm::Index(2),
        dw::DW_FORM_strx3 => StringForm::Index(3),
        dw::DW_FORM_strx4 => StringForm::Index(4),
        dw::DW_FORM_strx | dw::DW_FORM_GNU_str_index => StringForm::IndexLeb,
        _ => return None,
    })
}

fn reference_form(form: dw::DwForm, encoding: Encoding) -> Option<ReferenceForm> {
    Some(match form {
        dw::DW_FORM_ref1 => ReferenceForm::Unit(1),
        dw::DW_FORM_ref2 => ReferenceForm::Unit(2),
        dw::DW_FORM_ref4 => ReferenceForm::Unit(4),
        dw::DW_FORM_ref8 => ReferenceForm::Unit(8),
        dw::DW_FORM_ref_udata => ReferenceForm::UnitLeb,
        dw::DW_FORM_ref_addr if encoding.version <= 2 => {
            ReferenceForm::Section(encoding.address_size)
        }
        dw::DW_FORM_ref_addr => ReferenceForm::Section(encoding.offset_size()),
        dw::DW_FORM_ref_sup4 => ReferenceForm::Supplementary(4),
        dw::DW_FORM_ref_sup8 => ReferenceForm::Supplementary(8),
        dw::DW_FORM_GNU_ref_alt => ReferenceForm::Supplementary(encoding.offset_size()),
        _ => return None,
    })
}
