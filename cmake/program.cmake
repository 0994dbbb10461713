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
