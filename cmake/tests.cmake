# SPDX-License-Identifier: MIT
# Unit tests (label unit), scenarios (scenario), benchmarks and fuzz targets: one program a file.
#
#   tests/test_<x>.c        cmocka, with tests/support (it brings kwm_panic() and hal_log_write());
#                           of the boards sim and linux, what it calls
#   tests/scenarios/*.c     the whole agent on the simulator board, whose link-time functions win
#   tests/bench/bench_<x>.c with the linux board; run by tools/bench
#   tests/fuzz/fuzz_<x>.c   libFuzzer, with the simulator board and the other files of tests/fuzz;
#                           corpus in tests/fuzz/corpus/<x>/
#
# All of them can use every layer.

# Add the program `name` of `source`, linked with `ARGN` before the layers.
function(kwm_test_program name source)
    add_executable(${name} "${source}")
    target_compile_definitions(${name} PRIVATE ${kwm_version} _GNU_SOURCE=
        KWM_TESTS_DIR="${PROJECT_SOURCE_DIR}/tests")
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests"
        "${PROJECT_SOURCE_DIR}/boards")
    target_compile_options(${name} PRIVATE "SHELL:-iquote \"${PROJECT_SOURCE_DIR}/hal\"")
    # The group is searched until nothing is missing: layers and boards call each other.
    list(JOIN kwm_archives "," group)
    target_link_libraries(${name} PRIVATE kwm_flags ${ARGN} "$<LINK_GROUP:RESCAN,${group}>" m)
endfunction()

set(kwm_archives "")
foreach(library IN ITEMS kwm_board_sim_archive kwm_board_linux_archive kwm_firmware kwm_core
        ${kwm_hal_libraries} cjson mbedtls picohttpparser)
    if(TARGET ${library})
        get_target_property(type ${library} TYPE)
        if(type STREQUAL "STATIC_LIBRARY")
            list(APPEND kwm_archives ${library})
        endif()
    endif()
endforeach()

if(KWM_TESTS)
    find_path(cmocka_include cmocka.h)
    find_library(cmocka_library cmocka)
    if(NOT cmocka_include OR NOT cmocka_library)
        message(FATAL_ERROR "cmocka is not there. Run tools/setup, or leave out -DKWM_TESTS=ON.")
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.c")
    add_library(kwm_test_support OBJECT ${sources})
    target_include_directories(kwm_test_support PUBLIC "${PROJECT_SOURCE_DIR}/tests/support")
    target_include_directories(kwm_test_support SYSTEM PUBLIC "${cmocka_include}")
    target_compile_definitions(kwm_test_support PRIVATE _GNU_SOURCE=
        KWM_TESTS_DIR="${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(kwm_test_support
        PUBLIC kwm_firmware ${kwm_hal_libraries} "${cmocka_library}" PRIVATE kwm_flags)

    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/test_*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        kwm_test_program(${name} "${source}" kwm_test_support)
        add_test(NAME ${name} COMMAND ${name})
        set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120)
    endforeach()

    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/scenarios/*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        kwm_test_program(${name} "${source}" kwm_board_sim kwm_test_support)
        target_link_options(${name} PRIVATE -Wl,-z,muldefs)
        add_test(NAME ${name} COMMAND ${name})
        set_tests_properties(${name} PROPERTIES LABELS scenario TIMEOUT 600)
    endforeach()

    find_package(Python3 3.9 COMPONENTS Interpreter REQUIRED)
    add_test(NAME tidy COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/tools/tidy.py")
    set_tests_properties(tidy PROPERTIES LABELS tidy)
endif()

if(KWM_BENCH)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/bench/bench_*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        kwm_test_program(${name} "${source}" kwm_board_linux)
    endforeach()
endif()

if(KWM_FUZZ)
    file(GLOB shared CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*.c")
    set(sources ${shared})
    list(FILTER sources INCLUDE REGEX "/fuzz_[^/]*\\.c$")
    list(FILTER shared EXCLUDE REGEX "/fuzz_[^/]*\\.c$")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        kwm_test_program(${name} "${source}" kwm_board_sim)
        target_sources(${name} PRIVATE ${shared})
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    endforeach()
endif()
