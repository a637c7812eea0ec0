//! What plans look like as SQL.

