//! Every TCP socket that a process holds open, when user space asks: a BPF iterator over descriptors. The kernel keeps
//! all that is told in the sockets themselves, whatever network namespace they are in, so no event pays for it.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::generated::{bpf_seq_write, bpf_sock_from_file};

use crate::{kernel::field, wire::SocketRow};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn sockets(ctx: *mut c_void) -> i32 {
    let ctx = ctx.cast::<*const u8>();
    // SAFETY: the context of this iterator is four words: what is iterated with, the task, the descriptor, its file.
    let (meta, task, file) = unsafe { (*ctx, *ctx.add(1), *ctx.add(3)) };
    if task.is_null() || file.is_null() {
        return 0; // The end.
    }
    // SAFETY: the helper looks whether the file is a socket's.
    let socket = unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.cast::<u8>();
    if socket.is_null() {
        return 0;
    }
    let sk = field!(socket, socket_sk as *const u8);
    if sk.is_null() {
        return 0;
    }
    let family = field!(sk, sock_family as u16);
    if (family != AF_INET && family != AF_INET6) || field!(sk, sock_protocol as u16) != IPPROTO_TCP {
        return 0;
    }
    let net = field!(sk, sock_net as *const u8);
    let row = SocketRow {
        tgid: field!(task, task_tgid as u32),
        network: field!(net, net_inode as u32),
        state: u32::from(field!(sk, sock_state as u8)),
        port: u32::from(field!(sk, sock_port as u16)),
        waiting: field!(sk, sock_waiting as u32),
        backlog: field!(sk, sock_backlog as u32),
        drops: field!(sk, sock_drops as u32),
        unused: 0,
    };
    let seq = field!(meta, iter_meta_seq as *mut c_void);
    // A full buffer is the kernel's to handle: it asks for the same descriptor again.
    // SAFETY: the row is initialised and of this size.
    unsafe { bpf_seq_write(seq.cast(), ptr::from_ref(&row).cast(), size_of::<SocketRow>() as u32) };
    0
}
