//! Answers questions about code: source lines, functions, variables and calls.

use std::sync::Arc;

use gimli::constants as dw;
use gimli::{AttributeValue, UnitOffset};

use super::entry::Entry;
use super::file::{DwarfFile, Slice};
use super::objects;
use super::source::DwarfSource;
use crate::Result;
use crate::code::{
    CallParameter, CallSite, CodeSource, ExpressionEncoding, FunctionScope, PointedTo, SourceLine,
    VariableDescription, VariableValue,
};
use crate::description::TypeId;

/// How deeply blocks and inlined functions may be nested.
const MAX_DEPTH: usize = 256;

impl DwarfSource {
    /// The file with the code of the module, and an address as it was linked.
    fn code_file(&self, address: u64) -> Option<(&DwarfFile, u64)> {
        Some((self.main_file()?, address.wrapping_sub(self.bias())))
    }

    /// Follows the blocks and inlined functions around an address, as linked, from the outside.
    fn path_to<'a>(&'a self, function: Entry<'a>, address: u64) -> Result<Vec<Entry<'a>>> {
        let mut path = vec![function];
        while let Some(last) = path.last()
            && path.len() < MAX_DEPTH
        {
            let mut inner = None;
            last.for_each_child(|child| {
                let is_scope = matches!(
                    child.tag(),
                    dw::DW_TAG_inlined_subroutine
                        | dw::DW_TAG_lexical_block
                        | dw::DW_TAG_try_block
                        | dw::DW_TAG_catch_block
                );
                if inner.is_none() && is_scope && child.contains(address)? {
                    inner = Some(child.id());
                }
                Ok(())
            })?;
            match inner {
                Some(inner) => path.push(self.entry(inner)?),
                None => break,
            }
        }
        Ok(path)
    }
}

impl<'a> Entry<'a> {
    /// Where an inlined function was called.
    fn inlined_at(&self) -> Result<Option<SourceLine>> {
        let file = self.view.file;
        let (Some(AttributeValue::FileIndex(number)), Some(unit)) = (
            self.value(dw::DW_AT_call_file),
            file.unit_number(self.view.offset),
        ) else {
            return Ok(None);
        };
        let Some(path) = file.line_rows(unit, &self.view)?.file(number) else {
            return Ok(None);
        };
        Ok(Some(SourceLine {
            file: path,
            line: self.unsigned(dw::DW_AT_call_line).unwrap_or(0),
            column: self.unsigned(dw::DW_AT_call_column).unwrap_or(0),
        }))
    }

    /// Describes a variable as it is at an address, as linked; none if it has no name.
    fn describe_variable(&self, address: u64) -> Result<Option<VariableDescription<'a>>> {
        let Some(name) = self.find_in_origins(Entry::name)? else {
            return Ok(None);
        };
        Ok(Some(VariableDescription {
            entry: self.id(),
            name,
            type_id: self.find_in_origins(Entry::type_id)?,
            value: self.variable_value(address)?,
        }))
    }

    fn variable_value(&self, address: u64) -> Result<VariableValue<'a>> {
        Ok(match self.expression(dw::DW_AT_location, address)? {
            Some([]) => VariableValue::OptimizedOut,
            Some(expression) => VariableValue::Expression(expression),
            None => match self.find_in_origins(objects::constant_value)? {
                Some(value) => VariableValue::Constant(value),
                None => VariableValue::OptimizedOut,
            },
        })
    }

    /// Whether the entry is a variable that has one place or value wherever its function was
    /// inlined.
    fn is_static(&self) -> bool {
        self.tag() == dw::DW_TAG_variable
            && (self.value(dw::DW_AT_location).is_some()
                || self.value(dw::DW_AT_const_value).is_some())
    }

    /// Whether the entry's code is at an address, as linked.
    fn contains(&self, address: u64) -> Result<bool> {
        let failed = |error| self.gimli_error(error);
        let mut ranges = self.view.ranges(&self.die).map_err(failed)?;
        while let Some(range) = ranges.next().map_err(failed)? {
            if (range.begin..range.end).contains(&address) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The expression of an attribute, which may depend on the address, as linked. `None` if there
    /// is no such attribute; empty if it has no expression for the address.
    fn expression(&self, attribute: dw::DwAt, address: u64) -> Result<Option<&'a [u8]>> {
        let value = self.find_in_origins(|entry| Ok(entry.value(attribute)))?;
        let failed = |error| self.gimli_error(error);
        match value {
            None => Ok(None),
            Some(AttributeValue::Exprloc(expression)) => Ok(Some(expression.0.slice())),
            Some(AttributeValue::Block(block)) => Ok(Some(block.slice())),
            Some(value) => {
                let locations = self
                    .view
                    .dwarf
                    .attr_locations(&self.view.unit, value)
                    .map_err(failed)?;
                let Some(mut locations) = locations else {
                    return Ok(None);
                };
                while let Some(location) = locations.next().map_err(failed)? {
                    if (location.range.begin..location.range.end).contains(&address) {
                        return Ok(Some(location.data.0.slice()));
                    }
                }
                Ok(Some(&[]))
            }
        }
    }

    fn address_value(&self, attribute: dw::DwAt) -> Result<Option<u64>> {
        let Some(value) = self.value(attribute) else {
            return Ok(None);
        };
        self.view
            .dwarf
            .attr_address(&self.view.unit, value)
            .map_err(|error| self.gimli_error(error))
    }

    /// An attribute that DWARF 5 and GNU's extension of DWARF 4 call by different names.
    fn either(&self, standard: dw::DwAt, gnu: dw::DwAt) -> Option<AttributeValue<Slice<'a>>> {
        self.value(standard).or_else(|| self.value(gnu))
    }

    /// The names of a function, as the source code and as the linker know it.
    fn function_names(&self) -> Result<Vec<Arc<str>>> {
        let linked = self.find_in_origins(|entry| entry.string(dw::DW_AT_linkage_name))?;
        Ok(self
            .find_in_origins(Entry::name)?
            .into_iter()
            .chain(linked)
            .collect())
    }

    fn is_tail_call(&self) -> bool {
        self.flag(dw::DW_AT_call_tail_call) || self.flag(dw::DW_AT_GNU_tail_call)
    }

    fn call_parameters(&self) -> Result<Vec<CallParameter<'a>>> {
        let bytes = |value: Option<AttributeValue<Slice<'a>>>| match value {
            Some(AttributeValue::Exprloc(expression)) => Some(expression.0.slice()),
            Some(AttributeValue::Block(block)) => Some(block.slice()),
            _ => None,
        };
        let mut parameters = Vec::new();
        self.for_each_child(|child| {
            if matches!(
                child.tag(),
                dw::DW_TAG_call_site_parameter | dw::DW_TAG_GNU_call_site_parameter
            ) {
                let parameter = match child.reference(dw::DW_AT_call_parameter)? {
                    Some(parameter) => Some(parameter),
                    None => child.reference(dw::DW_AT_abstract_origin)?,
                };
                parameters.push(CallParameter {
                    location: bytes(child.value(dw::DW_AT_location)).unwrap_or(&[]),
                    value: bytes(child.either(dw::DW_AT_call_value, dw::DW_AT_GNU_call_site_value)),
                    parameter,
                });
            }
            Ok(())
        })?;
        Ok(parameters)
    }
}

impl DwarfSource {
    /// Visits the calls in a function with the addresses that they return to in the running
    /// program, until `visit` returns false.
    fn for_each_call_site<'a>(
        &'a self,
        function: TypeId,
        mut visit: impl FnMut(&Entry<'a>, Option<u64>) -> Result<bool>,
    ) -> Result<()> {
        let function = self.entry(function)?;
        let failed = |error| function.gimli_error(error);
        let mut entries = function
            .view
            .unit
            .entries_at_offset(function.die.offset())
            .map_err(failed)?;
        let mut start = None;
        while let Some(die) = entries.next_dfs().map_err(failed)? {
            let depth = die.depth();
            match start {
                None => start = Some(depth),
                Some(start) if depth <= start => break,
                Some(_) => {}
            }
            if !matches!(die.tag(), dw::DW_TAG_call_site | dw::DW_TAG_GNU_call_site) {
                continue;
            }
            let site = self.entry(TypeId(
                function.file_base + function.view.offset + die.offset().0 as u64,
            ))?;
            let returns_to = match site.address_value(dw::DW_AT_call_return_pc)? {
                Some(address) => Some(address),
                None => site.address_value(dw::DW_AT_low_pc)?,
            };
            let returns_to = returns_to.map(|address| address.wrapping_add(self.bias()));
            if !visit(&site, returns_to)? {
                break;
            }
        }
        Ok(())
    }

    fn describe_call<'a>(&'a self, site: &Entry<'a>, return_address: u64) -> Result<CallSite<'a>> {
        let target = match site.reference(dw::DW_AT_call_origin)? {
            Some(target) => Some(target),
            None => site.reference(dw::DW_AT_abstract_origin)?,
        };
        let target = target.map(|target| self.entry(target)).transpose()?;
        let (target_names, target_address) = match &target {
            Some(target) => (
                target.function_names()?,
                target.address_value(dw::DW_AT_low_pc)?,
            ),
            None => (Vec::new(), None),
        };
        Ok(CallSite {
            return_address,
            target_address: target_address.map(|address| address.wrapping_add(self.bias())),
            target_names,
            is_tail_call: site.is_tail_call(),
            parameters: site.call_parameters()?,
        })
    }
}

impl CodeSource for DwarfSource {
    fn source_line(&self, address: u64) -> Result<Option<SourceLine>> {
        let Some((file, address)) = self.code_file(address) else {
            return Ok(None);
        };
        let Some(unit) = file.unit_of_code(address)? else {
            return Ok(None);
        };
        let view = file.unit(unit)?;
        Ok(file.line_rows(unit, &view)?.line_at(address))
    }

    fn scopes_at(&self, address: u64) -> Result<Arc<[FunctionScope]>> {
        let none = || Ok(Arc::default());
        let Some((file, address)) = self.code_file(address) else {
            return none();
        };
        let Some(unit) = file.unit_of_code(address)? else {
            return none();
        };
        let Some((slot, unit)) = self.unit_with_entries(unit) else {
            return none();
        };
        let view = slot.file.unit(unit)?;
        let Some(UnitOffset(offset)) = slot.file.function_at(unit, &view, address)? else {
            return none();
        };
        let function = self.entry(TypeId(slot.base + view.offset + offset as u64))?;
        let mut scopes: Vec<FunctionScope> = Vec::new();
        for entry in self.path_to(function, address)? {
            let is_inline = entry.tag() == dw::DW_TAG_inlined_subroutine;
            if is_inline || entry.tag() == dw::DW_TAG_subprogram {
                scopes.push(FunctionScope {
                    entry: entry.id(),
                    name: self.full_name(&entry)?,
                    inlined_at: if is_inline { entry.inlined_at()? } else { None },
                    is_inline,
                    blocks: vec![entry.id()],
                });
            } else if let Some(scope) = scopes.last_mut() {
                scope.blocks.push(entry.id());
            }
        }
        scopes.reverse();
        Ok(scopes.into())
    }

    fn variables(&self, block: TypeId, address: u64) -> Result<Vec<VariableDescription<'_>>> {
        let address = address.wrapping_sub(self.bias());
        let block = self.entry(block)?;
        let mut variables = Vec::new();
        let mut instances = Vec::new();
        block.for_each_child(|child| {
            let is_variable = matches!(
                child.tag(),
                dw::DW_TAG_formal_parameter | dw::DW_TAG_variable
            );
            if is_variable && !child.is_declaration() {
                variables.extend(child.describe_variable(address)?);
                instances.extend(child.reference(dw::DW_AT_abstract_origin)?);
            }
            Ok(())
        })?;
        // gcc does not repeat static variables in the instances of a function.
        if let Some(origin) = block.reference(dw::DW_AT_abstract_origin)? {
            self.entry(origin)?.for_each_child(|child| {
                if child.is_static() && !instances.contains(&child.id()) {
                    variables.extend(child.describe_variable(address)?);
                }
                Ok(())
            })?;
        }
        Ok(variables)
    }

    fn pointed_to(&self, entry: TypeId, offset: u64, address: u64) -> Result<PointedTo<'_>> {
        let entry = self.entry(entry)?;
        let target = self.entry(TypeId(entry.file_base.saturating_add(offset)))?;
        Ok(PointedTo {
            type_id: target.find_in_origins(Entry::type_id)?,
            value: target.variable_value(address.wrapping_sub(self.bias()))?,
        })
    }

    fn frame_base(&self, function: TypeId, address: u64) -> Result<Option<&[u8]>> {
        self.entry(function)?
            .expression(dw::DW_AT_frame_base, address.wrapping_sub(self.bias()))
    }

    fn call_site(&self, function: TypeId, return_address: u64) -> Result<Option<CallSite<'_>>> {
        let mut found = None;
        self.for_each_call_site(function, |site, returns_to| {
            if returns_to == Some(return_address) {
                found = Some(self.describe_call(site, return_address)?);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    fn tail_calls(&self, function: TypeId, limit: usize) -> Result<Vec<CallSite<'_>>> {
        let mut calls = Vec::new();
        self.for_each_call_site(function, |site, returns_to| {
            if let Some(address) = returns_to
                && site.is_tail_call()
            {
                calls.push(self.describe_call(site, address)?);
            }
            Ok(calls.len() < limit)
        })?;
        Ok(calls)
    }

    fn thread_local_block(&self) -> Option<(u64, u64)> {
        let elf = self.main_file()?.elf();
        let block = elf
            .segments()
            .iter()
            .find(|segment| segment.kind == object::elf::PT_TLS.0)?;
        Some((block.memory_size, block.alignment))
    }

    fn expression_encoding(&self, entry: TypeId) -> Result<ExpressionEncoding> {
        let encoding = self.entry(entry)?.view.unit.encoding();
        Ok(ExpressionEncoding {
            version: encoding.version,
            address_size: encoding.address_size,
            is_64_bit_dwarf: encoding.format == gimli::Format::Dwarf64,
        })
    }

    fn indexed_address(&self, entry: TypeId, index: u64) -> Result<u64> {
        let entry = self.entry(entry)?;
        entry
            .view
            .dwarf
            .address(&entry.view.unit, gimli::DebugAddrIndex(index as usize))
            .map_err(|error| entry.gimli_error(error))
    }

    fn base_type(&self, entry: TypeId, offset_in_unit: u64) -> Result<(u8, u64)> {
        let entry = self.entry(entry)?;
        let base = self.entry(TypeId(
            (entry.file_base + entry.view.offset).saturating_add(offset_in_unit),
        ))?;
        match (
            base.value(dw::DW_AT_encoding),
            base.unsigned(dw::DW_AT_byte_size),
        ) {
            (Some(AttributeValue::Encoding(encoding)), Some(size)) => Ok((encoding.0, size)),
            _ => Err(base.bad("the type of a value in an expression is not a base type")),
        }
    }

    fn location_of(
        &self,
        entry: TypeId,
        offset: u64,
        is_in_unit: bool,
        address: u64,
    ) -> Result<&[u8]> {
        let entry = self.entry(entry)?;
        let base = if is_in_unit {
            entry.file_base + entry.view.offset
        } else {
            entry.file_base
        };
        let expression = self
            .entry(TypeId(base.saturating_add(offset)))?
            .expression(dw::DW_AT_location, address.wrapping_sub(self.bias()))?;
        Ok(expression.unwrap_or(&[]))
    }

    fn function_names(&self, function: TypeId) -> Result<Vec<Arc<str>>> {
        self.entry(function)?.function_names()
    }

    fn entry_in_unit(&self, entry: TypeId, offset: u64) -> Result<TypeId> {
        let entry = self.entry(entry)?;
        Ok(TypeId(
            (entry.file_base + entry.view.offset).saturating_add(offset),
        ))
    }

    fn relocate(&self, address: u64) -> u64 {
        self.main_file().map_or(address, |file| {
            file.elf().loaded_address(address, self.bias())
        })
    }
}
