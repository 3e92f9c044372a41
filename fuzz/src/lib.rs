//! What the fuzz targets share: asking a source of types for all that it has.

use kdive_debuginfo::TypeSource;
use kdive_debuginfo::description::{ObjectKinds, TypeKinds};

/// Asks for every type by its name and for what belongs to it; `file_name` as well.
pub fn visit(source: &dyn TypeSource, file_name: Option<&str>) {
    for name in source.type_names(TypeKinds::all()).unwrap_or_default() {
        for id in source
            .find_types(TypeKinds::all(), &name, None)
            .unwrap_or_default()
        {
            let _ = source.describe(id);
            for member in source.members(id).unwrap_or_default() {
                let _ = member.type_id.map(|id| source.describe(id));
            }
            let _ = source.enumerators(id);
        }
        let _ = source.find_objects(ObjectKinds::all(), &name, None);
        let _ = source.find_types(TypeKinds::all(), &name, file_name);
    }
}
