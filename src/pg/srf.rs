//! A set-returning function that answers with a tuplestore. See `utils/fmgr/README`, "Functions Returning Sets".

use chunk::long_header;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::trigger::{Call, guarded};
use crate::pg::tuplestore::{Desc, Tuplestore};

/// One call: its arguments.
pub struct Request {
    raw: pg_sys::FunctionCallInfo,
}

impl Request {
    /// Argument `i`, counted from 0, an `integer`; `None` when NULL.
    pub fn integer(&self, i: usize) -> Option<i32> {
        // SAFETY: the server passes as many arguments as the function was declared with.
        unsafe {
            let arguments = std::slice::from_raw_parts((*self.raw).args.as_ptr(), (*self.raw).nargs as usize);
            arguments.get(i).filter(|argument| !argument.isnull).map(|argument| argument.value.value() as i32)
        }
    }
}

/// Fills a tuplestore of the row type that the query expects, and hands it over.
pub fn answer(call: Call, fill: fn(&Request, &Tuplestore) -> Result<()>) -> pg_sys::Datum {
    guarded(|| answer_raw(call.into_raw(), fill))
}

fn answer_raw(call: pg_sys::FunctionCallInfo, fill: fn(&Request, &Tuplestore) -> Result<()>) -> Result<()> {
    // SAFETY: a caller that can take a set says so with a ReturnSetInfo; it frees what it is given.
    unsafe {
        let info = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let accepts = !info.is_null()
            && (*info).type_ == pg_sys::NodeTag::T_ReturnSetInfo
            && (*info).allowedModes as u32 & pg_sys::SetFunctionReturnMode::SFRM_Materialize != 0
            && !(*info).expectedDesc.is_null();
        if !accepts {
            return Err(Error::new(
                pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "this function returns a set and needs a column definition list",
            )
            .hint("Use it in FROM, as in: select * from f() as t(a text, b integer)."));
        }
        let store = Tuplestore::new(Desc::copy((*info).expectedDesc));
        fill(&Request { raw: call }, &store)?;
        let (raw, desc) = store.into_raw();
        (*info).returnMode = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
        (*info).setResult = raw;
        (*info).setDesc = desc;
        Ok(())
    }
}

/// A `text` value.
pub fn text(content: &str) -> Vec<u8> {
    [&long_header(content.len() + 4)[..], content.as_bytes()].concat()
}
