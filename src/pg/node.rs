//! The server's lists and trees. See `nodes/pg_list.h` and `nodes/nodeFuncs.c`.

use std::collections::BTreeSet;
use std::ffi::c_void;

use pgrx::pg_sys::{self, List, Node, NodeTag};

/// The pointers of a list.
///
/// # Safety
/// A list of pointers to `T`, or NULL, that outlives the iterator.
pub unsafe fn pointers<T>(list: *mut List) -> impl Iterator<Item = *mut T> {
    // SAFETY: by contract.
    unsafe { cells(list) }.map(|cell| unsafe { cell.ptr_value.cast() })
}

/// The oids of a list of oids.
///
/// # Safety
/// A list of oids, or NULL, that outlives the iterator.
pub unsafe fn oids(list: *mut List) -> impl Iterator<Item = pg_sys::Oid> {
    // SAFETY: by contract.
    unsafe { cells(list) }.map(|cell| unsafe { cell.oid_value })
}

/// A list of nodes.
///
/// # Safety
/// Inside a memory context that the list belongs to.
pub unsafe fn list<const N: usize>(nodes: [*mut c_void; N]) -> *mut List {
    // SAFETY: the server's own list.
    nodes.into_iter().fold(std::ptr::null_mut(), |list, node| unsafe { pg_sys::lappend(list, node) })
}

/// A node whose fields are zero.
///
/// # Safety
/// The tag is that of `T`.
pub unsafe fn new<T>(tag: NodeTag) -> *mut T {
    // SAFETY: every node begins with its tag.
    unsafe {
        let node = pg_sys::palloc0(size_of::<T>());
        (*node.cast::<Node>()).type_ = tag;
        node.cast()
    }
}

unsafe fn cells(list: *mut List) -> impl Iterator<Item = pg_sys::ListCell> {
    // SAFETY: by contract; an empty list is a null pointer.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length as usize } };
    // SAFETY: as many cells follow.
    (0..length).map(move |at| unsafe { *(*list).elements.add(at) })
}

/// Calls `visit` for a node and every one below it, subqueries, range tables, sort and group clauses included.
///
/// # Safety
/// An analysed query, a list of such, or an expression of one.
pub unsafe fn walk<F: FnMut(*mut Node)>(node: *mut Node, mut visit: F) {
    // SAFETY: by contract; the walker gives its callback `visit`, which outlives it.
    unsafe { step::<F>(node, (&raw mut visit).cast()) };
}

unsafe extern "C-unwind" fn step<F: FnMut(*mut Node)>(node: *mut Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the context is that of `walk`; the tag says what the node is. Panics become server errors.
    unsafe {
        pg_sys::submodules::panic::pgrx_extern_c_guard(|| {
            (*context.cast::<F>())(node);
            match (*node).type_ {
                NodeTag::T_Query => {
                    let flags = pg_sys::QTW_EXAMINE_RTES_BEFORE | pg_sys::QTW_EXAMINE_SORTGROUP;
                    pg_sys::query_tree_walker(node.cast(), Some(step::<F>), context, flags as i32)
                }
                // The server walks on below it by itself.
                NodeTag::T_RangeTblEntry => false,
                // What the server does not walk into is no expression and holds none.
                _ => pg_sys::expression_tree_walker(node, Some(step::<F>), context),
            }
        })
    }
}

/// The relations that a rewritten query, or a list of them, reads.
///
/// # Safety
/// An analysed query or a list of such.
pub unsafe fn relations(node: *mut Node) -> Vec<pg_sys::Oid> {
    let mut relations: BTreeSet<u32> = BTreeSet::new();
    // SAFETY: by contract; the tag says what the node is.
    unsafe {
        walk(node, |node| {
            if (*node).type_ == NodeTag::T_RangeTblEntry {
                relations.insert((*node.cast::<pg_sys::RangeTblEntry>()).relid.to_u32());
            }
        });
    }
    relations.remove(&0);
    relations.into_iter().map(pg_sys::Oid::from).collect()
}
