//! What debug information knows of code: source lines, functions, and where variables are.

use std::sync::Arc;

use crate::Result;
use crate::description::{ConstantValue, TypeId};

/// A place in the source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The path of the file: absolute, or relative to where it was compiled.
    pub file: Arc<str>,
    /// The line, from 1; 0 if the code belongs to none.
    pub line: u64,
    /// The column, from 1; 0 if it is not known.
    pub column: u64,
}

/// A function that an address is in, inlined or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionScope {
    /// Its entry in the source: the function, or its inlined instance.
    pub entry: TypeId,
    /// Its name, with scopes in C++.
    pub name: Option<Arc<str>>,
    /// Where it was called, if it was inlined: in the function around it.
    pub inlined_at: Option<SourceLine>,
    /// Whether it was inlined into the function around it.
    pub is_inline: bool,
    /// The entries whose variables can be seen at the address: the function, and the blocks
    /// around the address, outermost first.
    pub blocks: Vec<TypeId>,
}

/// A parameter or a variable of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableDescription<'a> {
    /// Its entry in the source.
    pub entry: TypeId,
    /// Its name.
    pub name: Arc<str>,
    /// Its type; none is `void`.
    pub type_id: Option<TypeId>,
    /// How its value is found.
    pub value: VariableValue<'a>,
}

/// What a pointer points to that is not in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PointedTo<'a> {
    /// Its type; none if the entry has none, as those of strings and procedures.
    pub type_id: Option<TypeId>,
    /// How its value is found.
    pub value: VariableValue<'a>,
}

/// How the value of a variable is found at one address of code.
#[derive(Clone, Debug, PartialEq)]
pub enum VariableValue<'a> {
    /// By a DWARF expression.
    Expression(&'a [u8]),
    /// It is known without looking.
    Constant(ConstantValue),
    /// The compiler kept it nowhere.
    OptimizedOut,
}

/// A call, as the caller's debug information tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSite<'a> {
    /// The address that the call returns to: behind the jump, if it is a tail call.
    pub return_address: u64,
    /// Where the called function is, if its entry tells.
    pub target_address: Option<u64>,
    /// Whether the caller jumps instead of calling, so that it has no frame of its own.
    pub is_tail_call: bool,
    /// The names of the function that is called, if it is called by name: as the source code and
    /// as the linker know it.
    pub target_names: Vec<Arc<str>>,
    /// What it passes.
    pub parameters: Vec<CallParameter<'a>>,
}

/// What a call passes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallParameter<'a> {
    /// The DWARF expression of where the called function finds it.
    pub location: &'a [u8],
    /// The DWARF expression of its value, to be evaluated in the caller.
    pub value: Option<&'a [u8]>,
    /// The entry of the parameter in the called function.
    pub parameter: Option<TypeId>,
}

/// How the expressions of a unit are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpressionEncoding {
    /// The version of DWARF.
    pub version: u16,
    /// The size of addresses in bytes.
    pub address_size: u8,
    /// Whether offsets have 8 bytes, else 4.
    pub is_64_bit_dwarf: bool,
}

/// The code of one module. Addresses are those in the running program.
pub trait CodeSource: Send + Sync {
    /// The source line of the code at an address.
    fn source_line(&self, address: u64) -> Result<Option<SourceLine>>;

    /// The functions that the code at an address belongs to: those inlined, innermost first, and
    /// last the one that they were inlined into. Empty if it belongs to none.
    fn scopes_at(&self, address: u64) -> Result<Arc<[FunctionScope]>>;

    /// The parameters and variables of a function or block, as they are at an address, and the
    /// static ones that only its abstract instance describes.
    fn variables(&self, block: TypeId, address: u64) -> Result<Vec<VariableDescription<'_>>>;

    /// What another variable of the same file is, at an address: the one at an offset in
    /// `.debug_info`, which an implicit pointer of `entry` points to. It may have no name.
    fn pointed_to(&self, entry: TypeId, offset: u64, address: u64) -> Result<PointedTo<'_>>;

    /// The expression of the frame base of a function (not an inlined one) at an address.
    fn frame_base(&self, function: TypeId, address: u64) -> Result<Option<&[u8]>>;

    /// The call in a function (not an inlined one) that returns to an address.
    fn call_site(&self, function: TypeId, return_address: u64) -> Result<Option<CallSite<'_>>>;

    /// The jumps of a function (not an inlined one) that are the calls of other functions, at
    /// most `limit` of them.
    fn tail_calls(&self, function: TypeId, limit: usize) -> Result<Vec<CallSite<'_>>>;

    /// The part of a file that every thread has a copy of (`PT_TLS`): its size and alignment.
    fn thread_local_block(&self) -> Option<(u64, u64)>;

    /// How the expressions of the unit of an entry are encoded.
    fn expression_encoding(&self, entry: TypeId) -> Result<ExpressionEncoding>;

    /// An address in the table of the unit of an entry, as it was linked.
    fn indexed_address(&self, entry: TypeId, index: u64) -> Result<u64>;

    /// `DW_AT_encoding` and `DW_AT_byte_size` of the base type at an offset in the unit of an
    /// entry.
    fn base_type(&self, entry: TypeId, offset_in_unit: u64) -> Result<(u8, u64)>;

    /// The expression of where another variable is, at an address: the one at an offset in
    /// the unit of `entry`, or in the whole section. Empty if it is nowhere.
    fn location_of(
        &self,
        entry: TypeId,
        offset: u64,
        is_in_unit: bool,
        address: u64,
    ) -> Result<&[u8]>;

    /// The names of a function: as the source code and as the linker know it.
    fn function_names(&self, function: TypeId) -> Result<Vec<Arc<str>>>;

    /// The entry at an offset in the unit of another one.
    fn entry_in_unit(&self, entry: TypeId, offset: u64) -> Result<TypeId>;

    /// The address in the running program of what was linked at `address`.
    fn relocate(&self, address: u64) -> u64;
}
