# SPDX-License-Identifier: MIT
# The layers:  firmware -> core -> hal/include <- hal/<impl> <- boards
#
# kwm_core           core/src/*.c
# kwm_hal_<impl>     hal/<impl>/*.c, one library for each folder that has sources
# kwm_firmware       firmware/*.c without main.c
# kwm_board_<board>  boards/<board>/*.c without main.c and <x>_main.c
#
# Headers: "kwm/x.h" in core/include, "hal/x.h" in hal/include, "linux/x.h" for hal/linux/x.h (a
# quote path, so that <linux/x.h> stays the kernel's), "board.h" in boards, "x.h" in firmware.

find_package(Threads)

# Where the build's board says what it needs; see docs/PORTING.md. A board may set KWM_HAL (the
# folders of hal/ that it is linked with) and KWM_OS_DEFINITIONS.
set(KWM_HAL "")
if(EXISTS "${PROJECT_SOURCE_DIR}/boards/${KWM_BOARD}/board.cmake")
    include("${PROJECT_SOURCE_DIR}/boards/${KWM_BOARD}/board.cmake")
endif()
if(NOT KWM_HAL)
    # A hosted build has all that needs nothing but POSIX and Mbed TLS: every folder but these.
    file(GLOB KWM_HAL CONFIGURE_DEPENDS LIST_DIRECTORIES true
        RELATIVE "${PROJECT_SOURCE_DIR}/hal" "${PROJECT_SOURCE_DIR}/hal/*")
    list(REMOVE_ITEM KWM_HAL include lwip)
endif()

# Make a static library of `sources`, or an empty interface where there are none (yet).
function(kwm_library name)
    if(ARGN)
        add_library(${name} STATIC ${ARGN})
        target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:kwm_flags>)
        set(scope PUBLIC)
    else()
        add_library(${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    set(scope ${scope} PARENT_SCOPE)
endfunction()

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/src/*.c")
kwm_library(kwm_core ${sources})
target_include_directories(kwm_core ${scope}
    "${PROJECT_SOURCE_DIR}/core/include" "${PROJECT_SOURCE_DIR}/hal/include")
target_link_libraries(kwm_core ${scope} picohttpparser)
# Loops that every value goes through are worth 800 bytes where flash is not scarce.
if(KWM_BOARD STREQUAL "linux" AND CMAKE_BUILD_TYPE STREQUAL "MinSizeRel")
    set_source_files_properties("${PROJECT_SOURCE_DIR}/core/src/bytes.c"
        "${PROJECT_SOURCE_DIR}/core/src/sample_codec.c" PROPERTIES COMPILE_OPTIONS -O2)
endif()

set(kwm_hal_libraries "")
foreach(impl IN LISTS KWM_HAL)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/hal/${impl}/*.c")
    kwm_library(kwm_hal_${impl} ${sources})
    target_include_directories(kwm_hal_${impl} ${scope} "${PROJECT_SOURCE_DIR}/hal/include")
    target_compile_options(kwm_hal_${impl} ${scope} "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/hal\"")
    if(impl STREQUAL "mbedtls")
        target_link_libraries(kwm_hal_${impl} ${scope} mbedtls)
    elseif(impl STREQUAL "linux")
        target_link_libraries(kwm_hal_${impl} ${scope} Threads::Threads)
        if(sources)
            target_compile_definitions(kwm_hal_${impl} PRIVATE _GNU_SOURCE=)
        endif()
    endif()
    list(APPEND kwm_hal_libraries kwm_hal_${impl})
endforeach()

# Firmware and boards know the version (KWM_VERSION). Boards also know a date that has passed, for a
# device whose clock is not set (KWM_BUILD_UNIX_S): the commit's, so that builds are repeatable.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    set(KWM_BUILD_UNIX_S $ENV{SOURCE_DATE_EPOCH})
else()
    execute_process(COMMAND git -C "${PROJECT_SOURCE_DIR}" log -1 --format=%ct
        OUTPUT_VARIABLE KWM_BUILD_UNIX_S OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT KWM_BUILD_UNIX_S)
        string(TIMESTAMP KWM_BUILD_UNIX_S "%s" UTC)
    endif()
endif()
set(kwm_version KWM_VERSION="${PROJECT_VERSION}")
set(kwm_build_date KWM_BUILD_UNIX_S=INT64_C\(${KWM_BUILD_UNIX_S}\))

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/firmware/*.c")
list(FILTER sources EXCLUDE REGEX "/main\\.c$")
kwm_library(kwm_firmware ${sources})
target_include_directories(kwm_firmware ${scope}
    "${PROJECT_SOURCE_DIR}/firmware" "${PROJECT_SOURCE_DIR}/boards")
target_link_libraries(kwm_firmware ${scope} kwm_core cjson)
if(sources)
    target_compile_definitions(kwm_firmware PRIVATE ${kwm_version})
    target_compile_options(kwm_firmware PRIVATE ${kwm_smallest})
endif()

# Boards may use anything. A build with tests also compiles the hosted boards beside its own.
# Objects, so that all of a board is linked (what only the core calls, too); and the same as an
# archive for unit tests, which take from it what they call.
set(boards ${KWM_BOARD})
if(KWM_TESTS OR KWM_FUZZ)
    list(APPEND boards sim linux)
    list(REMOVE_DUPLICATES boards)
endif()
foreach(board IN LISTS boards)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/boards/${board}/*.c")
    list(FILTER sources EXCLUDE REGEX "[/_]main\\.c$")
    if(sources)
        add_library(kwm_board_${board} OBJECT ${sources})
        set(scope PUBLIC)
        target_link_libraries(kwm_board_${board} PRIVATE kwm_flags)
        target_compile_options(kwm_board_${board} PRIVATE ${kwm_smallest})
        target_compile_definitions(kwm_board_${board} PRIVATE ${kwm_version} ${kwm_build_date}
            $<$<IN_LIST:${board},sim$<SEMICOLON>linux>:_GNU_SOURCE=>)
        add_library(kwm_board_${board}_archive STATIC EXCLUDE_FROM_ALL
            $<TARGET_OBJECTS:kwm_board_${board}>)
    else()
        add_library(kwm_board_${board} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(kwm_board_${board} ${scope}
        "${PROJECT_SOURCE_DIR}/boards" "${PROJECT_SOURCE_DIR}/boards/${board}")
    target_link_libraries(kwm_board_${board} ${scope} kwm_firmware ${kwm_hal_libraries})
endforeach()
