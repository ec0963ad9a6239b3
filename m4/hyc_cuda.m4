# SPDX-License-Identifier: Apache-2.0
# HYC_CUDA: --with-cuda=auto|no|yes|DIR. Looks for nvcc and the static runtime, and has nvcc compile a kernel.
# Sets NVCC, CUDA_CPPFLAGS, CUDA_RUNTIME, CUDA_ARCH_FLAGS, have_cuda and the conditional CUDA.
AC_DEFUN([HYC_CUDA], [
AC_ARG_WITH([cuda],
  [AS_HELP_STRING([--with-cuda=auto], [build the CUDA module: auto, yes, no, or where the toolkit is])],
  [], [with_cuda=auto])
AC_ARG_VAR([NVCC], [the CUDA compiler])
AC_ARG_VAR([CUDA_ARCH_FLAGS], [what nvcc builds for @<:@sm_80, sm_90 and PTX@:>@])
have_cuda=no
AS_IF([test "x$with_cuda" != xno], [
  AS_CASE([$with_cuda],
    [auto|yes], [AC_PATH_PROG([NVCC], [nvcc], [], [$PATH$PATH_SEPARATOR/usr/local/cuda/bin])],
    [NVCC=$with_cuda/bin/nvcc])
  AS_IF([test -n "$NVCC" && test -x "$NVCC"], [
    # nvcc may be a wrapper or a link, so it is asked where its toolkit is.
    cuda_top=`echo 'int x;' >conftest.cu && "$NVCC" --dryrun -c conftest.cu 2>&1 | $SED -n 's/^#\$ TOP=//p'`
    rm -f conftest.cu
    for cuda_lib in "$cuda_top/lib64" "$cuda_top/targets/x86_64-linux/lib" "$cuda_top/targets/sbsa-linux/lib" "$cuda_top/lib"; do
      AS_IF([test -z "$CUDA_RUNTIME" && test -f "$cuda_lib/libcudart_static.a"], [CUDA_RUNTIME=$cuda_lib/libcudart_static.a])
    done
    CUDA_CPPFLAGS="-isystem $cuda_top/include"
    AS_IF([test -z "$CUDA_ARCH_FLAGS"],
      [CUDA_ARCH_FLAGS="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[[sm_90,compute_90]]"])
    AC_MSG_CHECKING([whether $NVCC works])
    echo '__global__ void k(int *p) { *p = 1; }' >conftest.cu
    AS_IF([test -n "$CUDA_RUNTIME" && "$NVCC" $CUDA_ARCH_FLAGS -c conftest.cu -o conftest.o >&AS_MESSAGE_LOG_FD 2>&1],
      [have_cuda=yes])
    rm -f conftest.cu conftest.o
    AC_MSG_RESULT([$have_cuda])
  ])
  AS_IF([test $have_cuda = no && test "x$with_cuda" != xauto],
    [AC_MSG_ERROR([--with-cuda=$with_cuda: there is no CUDA toolkit that works])])
])
AC_SUBST([CUDA_CPPFLAGS])
# The runtime behind -Wl, or libtool would warn of a static library; what it needs comes after it.
AC_SUBST([CUDA_LIBS], ["-Wl,$CUDA_RUNTIME -lstdc++ -ldl -lpthread -lrt"])
# What a sanitizer needs is in the program, not in the module.
AS_CASE([" $CFLAGS $LDFLAGS "], [*-fsanitize*], [CUDA_LDFLAGS=], [CUDA_LDFLAGS=-Wl,-z,defs])
AC_SUBST([CUDA_LDFLAGS])
AM_CONDITIONAL([CUDA], [test $have_cuda = yes])
AC_CHECK_PROGS([EMULATE_CXX], [g++ clang++])
AM_CONDITIONAL([EMULATE], [test -n "$EMULATE_CXX"])
])
