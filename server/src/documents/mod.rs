//! What people take with them: tickets and receipts on paper, codes as pictures, dates for calendars, tables; and what
//! others are shown of an event.
//!
//! Made of plain data and a clock's reading; knows neither the database nor HTTP.

pub mod calendar;
pub mod card;
pub mod door_list;
pub mod fonts;
pub mod money;
pub mod page;
pub mod qr;
pub mod receipt;
pub mod share;
pub mod table;
pub mod ticket;
pub mod unhurried;
pub mod when;
