pub mod docket;
