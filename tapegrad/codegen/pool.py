"""Threads that share the turns of a loop, in LLVM IR: they wait in machine code, without the interpreter's lock.

    void tapegrad_parallel(function, context, count)      function(context, i) for i = 0 ... count - 1

The caller takes turns as the helpers do, so nothing waits for a thread that is slow to wake: on a machine with nothing
to spare the caller does all of them itself. Who takes which turn is decided by a shared counter; turns must not
depend on each other, and how many there are must not depend on the number of threads. Then neither does the result.

Helpers are ordinary Python threads (`jit.helpers` starts them) inside `tapegrad_worker`, which returns when there are
to be fewer.
Between jobs a helper first watches the number of the latest job (`generation`) for a fraction of a millisecond, as
the next kernel of a step usually follows soon, and then sleeps in the kernel until it is woken. With a tenth of that a
step of a small network took 1.2 to 1.5 times as long: waking a thread costs its waker more than a small product.

Invariant: `function`, `context` and `count` of a job are written only while `busy` is held, `open` is 0 and nobody is
`inside`. A helper counts itself `inside` before it looks at `open`, and the caller closes the job before it looks at
`inside`, both in sequentially consistent order: so either the helper sees that the job is closed, or the caller sees
and waits for the helper. A call while another job runs (from another thread, or from inside a turn) does its turns
alone.

References: Drepper, "Futexes Are Tricky" (2011); Mellor-Crummey & Scott, "Algorithms for scalable synchronization on
shared-memory multiprocessors", ACM TOCS 9 (1991).
"""

from __future__ import annotations

SYMBOL = "tapegrad_parallel"
WORKER = "tapegrad_worker"
LIMIT = "tapegrad_pool_limit"
DECLARATION = f"declare void @{SYMBOL}(ptr, ptr, i64)"
SPINS = 20000  # looks at `generation` before sleeping, each with a `pause`: about 0.3 ms
PATIENCE = 4000  # looks at `inside` before the caller lets others run

_SYSCALL = 'call i64 asm sideeffect "syscall", "={rax},{rax},{rdi},{rsi},{rdx},{r10},~{rcx},~{r11},~{memory}"'
_FUTEX, _WAIT, _WAKE, _YIELD = 202, 128, 129, 24  # Linux on x86-64; 128: private to the process

TEXT = f"""
@generation = internal global i32 0, align 64
@open = internal global i32 0, align 64
@busy = internal global i32 0, align 64
@inside = internal global i32 0, align 64
@sleeping = internal global i32 0, align 64
@limit = internal global i32 0, align 64
@next = internal global i64 0, align 64
@function = internal global ptr null, align 64
@context = internal global ptr null, align 8
@count = internal global i64 0, align 8

declare void @llvm.x86.sse2.pause()

define internal void @take(ptr %function, ptr %context, i64 %count) {{
entry:
  br label %look
look:
  %i = atomicrmw add ptr @next, i64 1 monotonic
  %more = icmp slt i64 %i, %count
  br i1 %more, label %turn, label %done
turn:
  call void %function(ptr %context, i64 %i)
  br label %look
done:
  ret void
}}

define void @{SYMBOL}(ptr %function, ptr %context, i64 %count) {{
entry:
  %limit = load atomic i32, ptr @limit monotonic, align 4
  %helpers = icmp sgt i32 %limit, 0
  %several = icmp sgt i64 %count, 1
  %worth = and i1 %helpers, %several
  br i1 %worth, label %claim, label %alone
claim:
  %claimed = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %ours = extractvalue {{ i32, i1 }} %claimed, 1
  br i1 %ours, label %publish, label %alone
publish:
  store ptr %function, ptr @function, align 8
  store ptr %context, ptr @context, align 8
  store i64 %count, ptr @count, align 8
  store atomic i64 0, ptr @next monotonic, align 8
  store atomic i32 1, ptr @open seq_cst, align 4
  %before = atomicrmw add ptr @generation, i32 1 seq_cst
  %asleep = load atomic i32, ptr @sleeping seq_cst, align 4
  %wake = icmp sgt i32 %asleep, 0
  br i1 %wake, label %rouse, label %work
rouse:
  %word = ptrtoint ptr @generation to i64
  %wanted = sub i64 %count, 1
  %fewer = icmp slt i64 %wanted, 64
  %most = select i1 %fewer, i64 %wanted, i64 64
  %woken = {_SYSCALL}(i64 {_FUTEX}, i64 %word, i64 {_WAKE}, i64 %most, i64 0)
  br label %work
work:
  call void @take(ptr %function, ptr %context, i64 %count)
  store atomic i32 0, ptr @open seq_cst, align 4
  br label %wait
wait:
  %looks = phi i64 [ 0, %work ], [ %looks.next, %again ]
  %left = load atomic i32, ptr @inside seq_cst, align 4
  %empty = icmp eq i32 %left, 0
  br i1 %empty, label %leave, label %patience
patience:
  %looks.next = add i64 %looks, 1
  %long = icmp sgt i64 %looks, {PATIENCE}
  br i1 %long, label %yield, label %pause
yield:
  %yielded = {_SYSCALL}(i64 {_YIELD}, i64 0, i64 0, i64 0, i64 0)
  br label %again
pause:
  call void @llvm.x86.sse2.pause()
  br label %again
again:
  br label %wait
leave:
  store atomic i32 0, ptr @busy release, align 4
  ret void
alone:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %turn, label %done
turn:
  %i = phi i64 [ 0, %alone ], [ %i.next, %turn ]
  call void %function(ptr %context, i64 %i)
  %i.next = add i64 %i, 1
  %further = icmp slt i64 %i.next, %count
  br i1 %further, label %turn, label %done
done:
  ret void
}}

define void @{WORKER}(i32 %index) {{
entry:
  br label %begin
begin:
  %seen = load atomic i32, ptr @generation seq_cst, align 4
  %limit = load atomic i32, ptr @limit monotonic, align 4
  %wanted = icmp slt i32 %index, %limit
  br i1 %wanted, label %knock, label %end
knock:
  %peek = load atomic i32, ptr @open seq_cst, align 4
  %maybe = icmp eq i32 %peek, 1
  br i1 %maybe, label %enter, label %watch
enter:
  %entered = atomicrmw add ptr @inside, i32 1 seq_cst
  %state = load atomic i32, ptr @open seq_cst, align 4
  %welcome = icmp eq i32 %state, 1
  br i1 %welcome, label %help, label %exit
help:
  %function = load ptr, ptr @function, align 8
  %context = load ptr, ptr @context, align 8
  %count = load i64, ptr @count, align 8
  call void @take(ptr %function, ptr %context, i64 %count)
  br label %exit
exit:
  %exited = atomicrmw sub ptr @inside, i32 1 seq_cst
  br label %watch
watch:
  %looks = phi i64 [ 0, %knock ], [ 0, %exit ], [ %looks.next, %pause ]
  %now = load atomic i32, ptr @generation seq_cst, align 4
  %changed = icmp ne i32 %now, %seen
  br i1 %changed, label %begin, label %patience
patience:
  %looks.next = add i64 %looks, 1
  %long = icmp sgt i64 %looks, {SPINS}
  br i1 %long, label %sleep, label %pause
pause:
  call void @llvm.x86.sse2.pause()
  br label %watch
sleep:
  %slept = atomicrmw add ptr @sleeping, i32 1 seq_cst
  %word = ptrtoint ptr @generation to i64
  %value = zext i32 %seen to i64
  %waited = {_SYSCALL}(i64 {_FUTEX}, i64 %word, i64 {_WAIT}, i64 %value, i64 0)
  %rose = atomicrmw sub ptr @sleeping, i32 1 seq_cst
  br label %begin
end:
  ret void
}}

define void @{LIMIT}(i32 %helpers, i32 %afresh) {{
entry:
  store atomic i32 %helpers, ptr @limit seq_cst, align 4
  %new = icmp ne i32 %afresh, 0
  br i1 %new, label %clear, label %tell
clear:
  store atomic i32 0, ptr @open seq_cst, align 4
  store atomic i32 0, ptr @busy seq_cst, align 4
  store atomic i32 0, ptr @inside seq_cst, align 4
  store atomic i32 0, ptr @sleeping seq_cst, align 4
  ret void
tell:
  %before = atomicrmw add ptr @generation, i32 1 seq_cst
  %word = ptrtoint ptr @generation to i64
  %woken = {_SYSCALL}(i64 {_FUTEX}, i64 %word, i64 {_WAKE}, i64 2147483647, i64 0)
  ret void
}}
"""
