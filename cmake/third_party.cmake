# SPDX-License-Identifier: MIT
# The libraries inside the agent, compiled from sources that tools/setup has fetched, or from a tree
# of the user's own. Targets: mbedtls, cjson, picohttpparser. Their headers are SYSTEM, so that our
# warnings end at our code.

set(KWM_MBEDTLS_DIR "" CACHE PATH "A Mbed TLS 3.6 tree of your own")
set(KWM_CJSON_DIR "" CACHE PATH "A cJSON 1.7 tree of your own")
set(KWM_PICOHTTPPARSER_DIR "" CACHE PATH "A picohttpparser tree of your own")

# Set `out` to the tree of a library, which holds `witness`.
function(kwm_tree name witness out)
    string(TOUPPER ${name} upper)
    set(option KWM_${upper}_DIR)
    set(tree "${${option}}")
    if(NOT tree)
        set(tree "${PROJECT_SOURCE_DIR}/build/third_party/${name}")
    endif()
    if(NOT EXISTS "${tree}/${witness}")
        message(FATAL_ERROR "${name}: ${tree}/${witness} is not there. Run tools/setup, which "
            "fetches it, or name a tree of your own with -D${option}=PATH.")
    endif()
    set(${out} "${tree}" PARENT_SCOPE)
endfunction()

kwm_tree(mbedtls library/ssl_tls.c mbedtls_dir)
file(GLOB sources CONFIGURE_DEPENDS "${mbedtls_dir}/library/*.c")
add_library(mbedtls STATIC ${sources})
target_include_directories(mbedtls SYSTEM PUBLIC "${mbedtls_dir}/include")
target_include_directories(mbedtls PRIVATE "${mbedtls_dir}/library")
target_compile_definitions(mbedtls PUBLIC
    MBEDTLS_CONFIG_FILE="${PROJECT_SOURCE_DIR}/third_party/mbedtls_config.h"
    $<$<BOOL:${KWM_TLS13}>:KWM_TLS13>
    $<$<BOOL:${KWM_TLS_IN_LEN}>:KWM_TLS_IN_LEN=${KWM_TLS_IN_LEN}>
    $<$<BOOL:${KWM_TLS_OUT_LEN}>:KWM_TLS_OUT_LEN=${KWM_TLS_OUT_LEN}>)
target_compile_options(mbedtls PRIVATE -w)
# It compares a text of its own by address, which link-time optimization may merge with another's.
set_source_files_properties("${mbedtls_dir}/library/ssl_tls.c" PROPERTIES COMPILE_OPTIONS -fno-lto)

# Compiled for size, encryption would be a fifth of what the agent costs. Only aesni.c may use the
# instructions that not every x86-64 has; whether they are there is asked at run time, before
# anything of it is called (a processor with AES has SSSE3). Its two ways to keep round keys have
# to agree with aes.c's, which is told by the macros alone: no such instruction can get into it.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set_source_files_properties("${mbedtls_dir}/library/aesni.c" PROPERTIES COMPILE_OPTIONS
        "-fno-lto;-O2;-fno-inline-functions;-fno-inline-small-functions;-maes;-mpclmul;-mssse3")
    set_source_files_properties("${mbedtls_dir}/library/aes.c" PROPERTIES
        COMPILE_OPTIONS "-O2;-D__AES__;-D__PCLMUL__")
endif()

kwm_tree(cjson cJSON.c cjson_dir)
add_library(cjson STATIC "${cjson_dir}/cJSON.c")
target_include_directories(cjson SYSTEM PUBLIC "${cjson_dir}")
# Our own documents are at most this deep; cJSON recurses once a level.
target_compile_definitions(cjson PUBLIC CJSON_NESTING_LIMIT=8)
target_compile_options(cjson PRIVATE -w)

kwm_tree(picohttpparser picohttpparser.c picohttpparser_dir)
add_library(picohttpparser STATIC "${picohttpparser_dir}/picohttpparser.c")
target_include_directories(picohttpparser SYSTEM PUBLIC "${picohttpparser_dir}")
target_compile_options(picohttpparser PRIVATE -w)
