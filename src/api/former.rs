//! Symbols of functions as earlier versions declared them. Until ALTER EXTENSION UPDATE the catalog's functions name them:
//! each says so instead of not being found, and the scripts of those versions can be installed for a test.
//!
//! A function whose arguments change gets a new symbol, and its old one comes here.

use pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::call::{Call, V1, guarded};
use crate::pg::spi;

macro_rules! former {
    ($($function:ident $info:ident)+) => {
        $(
            #[unsafe(no_mangle)]
            pub extern "C-unwind" fn $function(_call: Call) -> pg_sys::Datum {
                guarded(refuse)
            }

            #[unsafe(no_mangle)]
            pub extern "C-unwind" fn $info() -> &'static pg_sys::Pg_finfo_record {
                &V1
            }
        )+
    };
}

// 0.1.0
former! {
    alter_stream_table_wrapper pg_finfo_alter_stream_table_wrapper
    create_or_replace_stream_table_wrapper pg_finfo_create_or_replace_stream_table_wrapper
    create_stream_table_if_not_exists_wrapper pg_finfo_create_stream_table_if_not_exists_wrapper
    create_stream_table_wrapper pg_finfo_create_stream_table_wrapper
    dependency_tree_wrapper pg_finfo_dependency_tree_wrapper
    explain_stream_table_wrapper pg_finfo_explain_stream_table_wrapper
    get_refresh_history_wrapper pg_finfo_get_refresh_history_wrapper
    guard_wrapper pg_finfo_guard_wrapper
    pgt_status_wrapper pg_finfo_pgt_status_wrapper
    refresh_stream_table_wrapper pg_finfo_refresh_stream_table_wrapper
}

fn refuse() -> Result<()> {
    Err(spi::other_version()?.unwrap_or_else(|| {
        let what = "this function was declared by an earlier version of pg_trickle";
        Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, what)
            .hint("Call the function of the same name in pgtrickle.")
    }))
}
