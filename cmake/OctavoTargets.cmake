# One library target a folder. A folder links only what design allows; scripts/check-layers reads the
# includes and fails on any other edge.

add_library(octavo_options INTERFACE)
target_compile_features(octavo_options INTERFACE cxx_std_20)
target_include_directories(octavo_options INTERFACE ${PROJECT_SOURCE_DIR}/src
                                                    ${PROJECT_SOURCE_DIR}/include)
target_compile_options(octavo_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-missing-field-initializers -ffp-contract=off>)
if(OCTAVO_SANITIZE)
  target_compile_options(octavo_options INTERFACE -fsanitize=${OCTAVO_SANITIZE}
                                                  -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(octavo_options INTERFACE -fsanitize=${OCTAVO_SANITIZE})
endif()

# octavo_library(name DEPENDS ...): every .cc file of the folder and of its sub-folders.
function(octavo_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(octavo_${name} STATIC ${sources})
  set_target_properties(octavo_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(octavo_${name} PUBLIC octavo_options ${ARG_DEPENDS})
endfunction()

# octavo_test(folder DEPENDS ...): one GoogleTest program for every *_test.cc below tests/<folder>.
function(octavo_test folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" target ${folder})
  add_executable(${target}_tests ${sources})
  target_include_directories(${target}_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(${target}_tests PRIVATE OCTAVO_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                     OCTAVO_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_link_libraries(${target}_tests PRIVATE octavo_options ${ARG_DEPENDS} GTest::gmock
                                                GTest::gtest_main)
  add_test(NAME ${target} COMMAND ${target}_tests)
endfunction()
