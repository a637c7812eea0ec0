//! Code that runs at the end of a scope, however it ends.

/// Calls its function when it is dropped, while an error unwinds too.
pub struct Defer<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
