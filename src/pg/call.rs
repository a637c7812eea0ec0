//! C functions that the server calls: their calls, errors, and results that are sets. See `utils/fmgr/README`.

use chunk::long_header;
use pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
use pgrx::pg_sys::{self, Datum, NodeTag};

use crate::error::{Error, Result};
use crate::pg::tuplestore::{Desc, Tuplestore};

/// One call.
#[repr(transparent)]
pub struct Call(pg_sys::FunctionCallInfo);

/// The calling convention of our functions, which the server reads before the first call of one.
pub static V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };

impl Call {
    /// What a trigger or event trigger function is called with: the data of that kind; `None` for a call of another kind.
    #[inline]
    pub fn context<T>(&self, tag: NodeTag) -> Option<&T> {
        // SAFETY: the server passes null or a node, and the tag says which.
        unsafe {
            let context = (*self.0).context;
            let found = !context.is_null() && (*context).type_ == tag;
            (*self.0).isnull &= !found;
            found.then(|| &*context.cast::<T>())
        }
    }

    /// The server's own description of it.
    pub fn raw(&self) -> pg_sys::FunctionCallInfo {
        self.0
    }

    /// Argument `i`, counted from 0, an `integer`; `None` when NULL.
    pub fn integer(&self, i: usize) -> Option<i32> {
        // SAFETY: the server passes as many arguments as the function was declared with.
        let arguments = unsafe { std::slice::from_raw_parts((*self.0).args.as_ptr(), (*self.0).nargs as usize) };
        arguments.get(i).filter(|argument| !argument.isnull).map(|argument| argument.value.value() as i32)
    }

    /// Fills a tuplestore of the row type that the query expects, and returns it as the result.
    pub fn return_set(self, fill: fn(&Call, &Tuplestore) -> Result<()>) -> Datum {
        guarded(|| {
            // SAFETY: a caller that accepts a set passes a ReturnSetInfo; it frees the parts of the tuplestore.
            unsafe {
                let info = (*self.0).resultinfo.cast::<pg_sys::ReturnSetInfo>();
                let mode = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
                let accepts = !info.is_null()
                    && (*info).type_ == NodeTag::T_ReturnSetInfo
                    && (*info).allowedModes as u32 & mode != 0
                    && !(*info).expectedDesc.is_null();
                if !accepts {
                    let what = "this function returns a set and needs a column definition list";
                    return Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, what)
                        .hint("Use it in FROM, as in: select * from f() as t(a text, b integer)."));
                }
                let store = Tuplestore::new(Desc::copy((*info).expectedDesc));
                fill(&self, &store)?;
                let (raw, desc) = store.into_raw();
                (*info).returnMode = mode;
                (*info).setResult = raw;
                (*info).setDesc = desc;
                Ok(())
            }
        })
    }
}

/// Runs the body of a function that the server calls: errors and panics become server errors.
#[inline]
pub fn guarded(body: impl FnOnce() -> Result<()>) -> Datum {
    // SAFETY: on the one thread that a backend has.
    unsafe {
        pg_sys::submodules::panic::pgrx_extern_c_guard(|| match body() {
            Ok(()) => Datum::from(0),
            Err(error) => raise(error),
        })
    }
}

/// Raises an error where there is no caller to return it to.
pub fn raise(error: Error) -> ! {
    pg_sys::panic::ErrorReport::from(error).report(pgrx::PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// A `text` value.
pub fn text(content: &str) -> Result<Vec<u8>> {
    let header = long_header(content.len() + 4).ok_or(Error::Bug("a text is a varlena"))?;
    Ok([&header[..], content.as_bytes()].concat())
}
