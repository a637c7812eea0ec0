//! Enumerations of the words of SQL: each value with its spelling, which the printer writes and the parser reads.

/// One of several words, or sequences of words.
pub trait Word: Copy + 'static {
    const ALL: &'static [Self];

    /// The spelling, in capitals.
    fn text(self) -> &'static str;
}

macro_rules! words {
    ($(#[$about:meta])* $type:ident { $($name:ident $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($name,)*
        }

        impl $crate::words::Word for $type {
            const ALL: &'static [$type] = &[$($type::$name,)*];

            fn text(self) -> &'static str {
                match self {
                    $($type::$name => $text,)*
                }
            }
        }
    };
}

pub(crate) use words;
