# SPDX-License-Identifier: MIT
# The program of the build's board: kwmote, and kwmote.stripped beside it.
# main.c is firmware's, the same on every board, unless the board brings one.

set(main "${PROJECT_SOURCE_DIR}/boards/${KWM_BOARD}/main.c")
if(NOT EXISTS "${main}")
    set(main "${PROJECT_SOURCE_DIR}/firmware/main.c")
endif()
if(EXISTS "${main}")
    add_executable(kwmote "${main}")
    target_link_libraries(kwmote PRIVATE kwm_flags kwm_board_${KWM_BOARD})
    target_compile_definitions(kwmote PRIVATE ${kwm_version} ${kwm_build_date}
        $<$<STREQUAL:${KWM_BOARD},linux>:_GNU_SOURCE=>)
    add_custom_command(TARGET kwmote POST_BUILD
        COMMAND ${CMAKE_STRIP} --strip-all
            -o "$<TARGET_FILE:kwmote>.stripped" "$<TARGET_FILE:kwmote>"
        BYPRODUCTS kwmote.stripped VERBATIM)
else()
    message(STATUS "No main.c for the board ${KWM_BOARD}: no program")
endif()

# Tools that are made of a board: kwmote_<x> of <x>_main.c. A function __wrap_<f> in it takes the
# place of <f> in that program alone.
file(GLOB mains CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/boards/${KWM_BOARD}/*_main.c")
foreach(main IN LISTS mains)
    cmake_path(GET main STEM tool)
    string(REGEX REPLACE "_main$" "" tool "${tool}")
    add_executable(kwmote_${tool} "${main}")
    target_link_libraries(kwmote_${tool} PRIVATE kwm_flags kwm_board_${KWM_BOARD} m)
    target_compile_definitions(kwmote_${tool} PRIVATE ${kwm_version} _GNU_SOURCE=)
    file(STRINGS "${main}" wraps REGEX "__wrap_[a-z0-9_]+\\(")
    foreach(line IN LISTS wraps)
        string(REGEX REPLACE "^.*__wrap_([a-z0-9_]+)\\(.*$" "\\1" wrapped "${line}")
        target_link_options(kwmote_${tool} PRIVATE "-Wl,--wrap=${wrapped}")
    endforeach()
endforeach()
