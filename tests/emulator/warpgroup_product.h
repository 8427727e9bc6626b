// Products of a warpgroup: each thread makes its part of the sums, now or when they are waited for.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstring>

#include "machine.h"
#include "numerics/e4m3.h"

namespace octavo::emulator {

inline constexpr int kProductBytes = 32;  // of k in one product

struct E4m3Code {
  uint8_t bits;

  explicit operator float() const {
    static const std::array<float, 256> kValues = [] {
      std::array<float, 256> values{};
      for (int code = 0; code < 256; ++code)
        values[static_cast<size_t>(code)] =
            octavo::to_float(octavo::e4m3{static_cast<uint8_t>(code)});
      return values;
    }();
    return kValues[bits];
  }
};

template <typename Element>
inline constexpr int kDepthOf = kProductBytes / static_cast<int>(sizeof(Element));

template <typename Element>
using Depth = std::array<float, static_cast<size_t>(kDepthOf<Element>)>;

// An operand in lines of 128 bytes, swizzled; groups of eight lines are 1 KiB. The bytes from one
// part of 64 columns to the next count where k goes down the lines.
inline uint64_t descriptor(uint32_t shared, int part_bytes) {
  return uint64_t{1} << 62 | uint64_t{1024 >> 4} << 32 |
         static_cast<uint64_t>(part_bytes >> 4) << 16 | (shared & 0x3FFFFu) >> 4;
}

struct Operand {
  uint64_t bits;

  uint32_t start() const { return static_cast<uint32_t>(bits & 0x3FFF) << 4; }
  uint32_t part_bytes() const { return static_cast<uint32_t>(bits >> 16 & 0x3FFF) << 4; }

  static const std::byte* at(const Cta& cta, uint32_t address) {
    address ^= (address >> 7 & 7) << 4;
    if (address >= cta.variables_end) throw Fault("an operand outside of shared memory");
    return cta.shared + address;
  }
};

// Of `line`, k innermost.
struct Rows : Operand {
  template <typename Element>
  void load(const Cta& cta, int line, Depth<Element>& to) const {
    const uint32_t address = start() + static_cast<uint32_t>(line / 8 * 1024 + line % 8 * 128);
    for (int half = 0; half < 2; ++half) {
      Element elements[16 / sizeof(Element)];
      std::memcpy(elements, at(cta, address + static_cast<uint32_t>(16 * half)), 16);
      for (size_t i = 0; i < std::size(elements); ++i)
        to[static_cast<size_t>(half) * std::size(elements) + i] = static_cast<float>(elements[i]);
    }
  }
};

// Of column `line`, k down the lines.
struct Columns : Operand {
  template <typename Element>
  void load(const Cta& cta, int line, Depth<Element>& to) const {
    for (int k = 0; k < kDepthOf<Element>; ++k) {
      const uint32_t address = start() + static_cast<uint32_t>(line / 64) * part_bytes() +
                               static_cast<uint32_t>(k / 8 * 1024 + k % 8 * 128 + line % 64 * 2);
      Element element;
      std::memcpy(&element, at(cta, address), sizeof(element));
      to[static_cast<size_t>(k)] = static_cast<float>(element);
    }
  }
};

// The two rows of a thread, from the registers of its four lanes.
template <typename Element>
struct RegisterRows {
  std::array<Depth<Element>, 2> rows;
};

template <typename Element>
RegisterRows<Element> registers_of(const uint32_t (&a)[4]) {
  static_assert(sizeof(Element) == 2);
  const auto both = [](uint32_t low, uint32_t high) {
    return static_cast<uint64_t>(high) << 32 | low;
  };
  const auto near = exchange(~0u, both(a[0], a[1]));  // k below 8: rows g, g + 8
  const auto far = exchange(~0u, both(a[2], a[3]));
  RegisterRows<Element> result;
  for (int t = 0; t < 4; ++t) {
    const auto lane = static_cast<size_t>(thread().lane() / 4 * 4 + t);
    for (int half = 0; half < 2; ++half) {
      for (int part = 0; part < 2; ++part) {
        const auto word = static_cast<uint32_t>((part == 0 ? near : far)[lane] >> 32 * half);
        Element elements[2];
        std::memcpy(elements, &word, 4);
        for (int i = 0; i < 2; ++i)
          result.rows[static_cast<size_t>(half)][static_cast<size_t>(8 * part + 2 * t + i)] =
              static_cast<float>(elements[i]);
      }
    }
  }
  return result;
}

template <typename Element>
std::array<Depth<Element>, 2> rows_of_thread(const RegisterRows<Element>& a, const Cta&, int) {
  return a.rows;
}
template <typename Element>
std::array<Depth<Element>, 2> rows_of_thread(const Rows& a, const Cta& cta, int index) {
  const int row = index / kLanes % 4 * 16 + index % kLanes / 4;
  std::array<Depth<Element>, 2> rows;
  a.template load<Element>(cta, row, rows[0]);
  a.template load<Element>(cta, row + 8, rows[1]);
  return rows;
}

// d (+)= a · b: of the 16 rows of its warp a thread (g, t) holds rows g and g + 8, of each eight
// columns 2t and 2t + 1.
template <typename Element, typename A, typename B, int kEights>
void multiply_later(float (&d)[kEights][4], const A& a, const B& b, bool add) {
  const Thread& self = thread();
  const auto multiply = [&d, a, b, add, cta = self.cta, index = self.index] {
    const auto rows = rows_of_thread<Element>(a, *cta, index);
    for (int i = 0; i < kEights; ++i) {
      for (int c = 0; c < 2; ++c) {
        Depth<Element> column;
        b.template load<Element>(*cta, 8 * i + index % 4 * 2 + c, column);
        for (int half = 0; half < 2; ++half) {
          float sum = 0;
          for (size_t k = 0; k < column.size(); ++k)
            sum += rows[static_cast<size_t>(half)][k] * column[k];
          float& to = d[i][2 * half + c];
          to = add ? to + sum : sum;
        }
      }
    }
  };
  LateWork& products = thread().products;
  if (products.groups.empty() && products.open.empty() && toss()) return multiply();
  products.open.emplace_back(multiply);
}

}  // namespace octavo::emulator
