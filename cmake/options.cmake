# SPDX-License-Identifier: MIT
# What concerns every compiler call of a build, third-party code included.

# One section a function, so that the linker can leave out what nobody calls; and no path of this
# machine in the program (assertions name their file).
add_compile_options(-ffunction-sections -fdata-sections
    "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=")
add_link_options(-Wl,--gc-sections)

# Nothing in C unwinds at run time (no thread is cancelled); the tables are a sixth of the program.
# Debuggers have their own in the unstripped file.
if(NOT KWM_SANITIZE AND NOT KWM_FUZZ)
    add_compile_options(-fno-asynchronous-unwind-tables -fno-unwind-tables)
endif()

# For what runs at the start and in commands: 3 % smaller than -Os, and slower (gcc 12, clang).
include(CheckCCompilerFlag)
check_c_compiler_flag(-Oz KWM_HAS_OZ)
set(kwm_smallest "")
if(KWM_HAS_OZ)
    set(kwm_smallest $<$<CONFIG:MinSizeRel>:-Oz>)
endif()
# No alignment of data beyond what the ABI asks for.
check_c_compiler_flag(-malign-data=abi KWM_HAS_ALIGN_DATA)
if(KWM_HAS_ALIGN_DATA)
    add_compile_options(-malign-data=abi)
endif()

if(KWM_SANITIZE OR KWM_FUZZ)
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
endif()
if(KWM_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(KWM_HARDEN)
    # All is bound at the start (now), so calls need no stubs that could bind later.
    add_compile_options(-fPIE -fno-plt -fstack-protector-strong
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack)
    include(CheckLinkerFlag)
    # Tables of pointers need a relocation each in a position-independent program: packed, where
    # linker and C library know how (binutils 2.38, glibc 2.36), they take a tenth.
    check_linker_flag(C -Wl,-z,pack-relative-relocs KWM_HAS_PACKED_RELOCS)
    if(KWM_HAS_PACKED_RELOCS)
        add_link_options(-Wl,-z,pack-relative-relocs)
    endif()
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
        # Debian's start files lack the marks, so the linker has to be told; every indirect target
        # of ours begins with endbr64.
        add_compile_options(-fcf-protection=full)
        add_link_options(-Wl,-z,ibt,-z,shstk)
    endif()
endif()

if(KWM_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT has_lto OUTPUT lto_output LANGUAGES C)
    if(has_lto)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
        # Code is made at the link then, so what holds for compiling has to be said there, too.
        add_link_options(-fno-asynchronous-unwind-tables -fno-unwind-tables)
        if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
            add_link_options(-flto-partition=one) # calls across partitions cost 4 K; links in 8 s
        endif()
    else()
        message(STATUS "No link-time optimization with this compiler and linker")
    endif()
endif()
